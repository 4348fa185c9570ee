"""What this worker offers: its class of hardware and its devices, from the settings or from `nvidia-smi`."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import Final

import structlog

from execution import gpus
from execution.gpus import Gpu, Kind
from execution.scheduling.seats import Capacity, Device
from marketplace.lib import env
from marketplace.lib.errors import Unavailable
from marketplace.models import Hardware

logger = structlog.get_logger(__name__)

CPU: Final = "cpu"
AUTO: Final = "auto"
ASK_SECONDS: Final = 20


@functools.cache
def hardware() -> str:
    """The class that this worker offers: TURNPIKE_HARDWARE, or with "auto" what its GPUs are. Raises Unavailable."""
    said = env.text("TURNPIKE_HARDWARE", CPU)
    if said != AUTO:
        return said
    found = _given(_gpus())
    if not found:
        logger.warning("no_gpus", reason="TURNPIKE_HARDWARE is auto and nvidia-smi tells of none: this worker is a cpu")
        return CPU
    rows = Hardware.objects.filter(is_active=True, gpu_memory_gb__gt=0)
    sku = gpus.kind_of(found, [Kind(row.sku, row.gpu_memory_gb) for row in rows])
    if sku is None:
        names = ", ".join(sorted({gpu.name for gpu in found}))
        raise Unavailable(
            f"No class of hardware is made of {names}: make one (manage.py price_hardware), or set TURNPIKE_HARDWARE."
        )
    return sku


def capacity() -> Capacity:
    """Its devices, or without any so many seats: TURNPIKE_SLOTS. Raises Unavailable."""
    seats = env.integer("TURNPIKE_SLOTS", 2, minimum=1)
    if hardware() == CPU:
        return Capacity(seats=seats)
    row = Hardware.objects.filter(sku=hardware()).first()
    gigabytes = row.gpu_memory_gb if row else 0
    found = _given(_gpus())
    if found:
        large = gpus.with_memory(found, gigabytes)
        if not large:
            raise Unavailable(f"No GPU of this host has the {gigabytes} GB of {hardware()}: set TURNPIKE_HARDWARE.")
        return Capacity(devices=tuple(Device(gpu.uuid, gpu.memory) for gpu in large))
    # Without nvidia-smi the settings are believed; a device whose memory nobody knows holds one instance.
    named = tuple(Device(one, max(1, gigabytes * 1024)) for one in _ids())
    return Capacity(devices=named) if named else Capacity(seats=seats)


def _ids() -> list[str]:
    return env.text("TURNPIKE_GPUS", "").replace(",", " ").split()


def _given(found: list[Gpu]) -> list[Gpu]:
    if not found:
        return []
    try:
        return gpus.chosen(found, _ids())
    except ValueError as error:
        raise Unavailable(f"TURNPIKE_GPUS: {error}.") from None


def _gpus() -> list[Gpu]:
    """The GPUs of this host; none where `nvidia-smi` is missing or has nothing to tell."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        told = subprocess.run(
            [program, *gpus.QUERY], capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        ).stdout
        return gpus.read(told)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("nvidia_smi_failed", reason=str(error)[:300])
        return []
