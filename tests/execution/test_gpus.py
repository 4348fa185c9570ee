"""What `nvidia-smi` tells, read and matched; and a worker with two GPUs, whose `nvidia-smi` is simulated: none is here.

The texts are written by us in the form of the real program's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery

from execution import gpus, tasks
from execution.agent.agent import Agent
from execution.gpus import Gpu, Kind
from execution.runtimes.base import InstanceSpec
from execution.scheduling.seats import Capacity, Device
from execution.services import machine
from marketplace.lib.errors import Unavailable
from tests.factories.marketplace import HardwareFactory

TWO_A100 = """\
0, GPU-6e1c2f60-0000-4000-8000-000000000001, NVIDIA A100-SXM4-80GB, 81920
1, GPU-6e1c2f60-0000-4000-8000-000000000002, NVIDIA A100-SXM4-80GB, 81920
"""
FIRST, SECOND = (line.split(", ")[1] for line in TWO_A100.splitlines())
KINDS = [Kind("gpu-t4", 16), Kind("gpu-l40s", 48), Kind("gpu-a100", 40), Kind("gpu-a100-large", 80), Kind("cpu", 0)]


@pytest.mark.parametrize(
    ("name", "memory", "sku"),
    [
        ("NVIDIA A100-SXM4-80GB", 81920, "gpu-a100-large"),
        ("NVIDIA A100-PCIE-40GB", 40960, "gpu-a100"),
        ("Tesla T4", 15360, "gpu-t4"),
        ("NVIDIA L40S", 46068, "gpu-l40s"),
        ("NVIDIA L40", 46068, None),
        ("NVIDIA GeForce RTX 4090", 24564, None),
    ],
)
def test_a_gpu_is_of_the_largest_class_that_has_its_name_and_fits_its_memory(
    name: str, memory: int, sku: str | None
) -> None:
    [found] = gpus.read(f"0, GPU-1, {name}, {memory}\n")
    assert found == Gpu("0", "GPU-1", name, memory)
    assert gpus.kind_of([found], KINDS) == sku


def test_a_mixed_host_is_of_no_class_and_no_host_of_gpus_is_none() -> None:
    mixed = gpus.read(TWO_A100 + "2, GPU-3, Tesla T4, 15360\n")
    assert gpus.kind_of(mixed, KINDS) is None
    assert gpus.kind_of(gpus.chosen(mixed, ["1", FIRST, "0"]), KINDS) == "gpu-a100-large"
    assert gpus.kind_of([], KINDS) is None


@pytest.mark.parametrize("text", ["No devices were found\n", "0, GPU-1, Tesla T4, [N/A]\n", "0, GPU-1, 15360\n"])
def test_what_is_no_gpu_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nvidia-smi printed"):
        gpus.read(text)


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[None]:
    """A program called nvidia-smi that says that two A100 are here, which they are not."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    asked = " ".join(gpus.QUERY)
    program.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] || exit 2\ncat <<END\n{TWO_A100}END\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("TURNPIKE_HARDWARE", "auto")
    HardwareFactory(sku="gpu-a100-large", gpu_memory_gb=80)
    machine.hardware.cache_clear()
    yield
    machine.hardware.cache_clear()


@pytest.mark.usefixtures("simulated")
def test_a_worker_with_two_simulated_gpus_offers_two_slots_of_their_class() -> None:
    assert machine.hardware() == "gpu-a100-large"
    assert machine.capacity() == Capacity(devices=(Device(FIRST, 81920), Device(SECOND, 81920)))


@pytest.mark.usefixtures("simulated")
def test_only_the_simulated_gpus_that_are_named_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNPIKE_GPUS", "1")
    assert machine.capacity().devices == (Device(SECOND, 81920),)
    monkeypatch.setenv("TURNPIKE_GPUS", "1,7")
    with pytest.raises(Unavailable, match="no GPU 7; nvidia-smi tells of 0, 1"):
        machine.capacity()


@pytest.mark.usefixtures("simulated")
def test_a_worker_with_simulated_gpus_takes_its_own_classs_queue_and_not_the_cpus() -> None:
    app = Celery("nowhere", broker="memory://")
    app.amqp.queues.select(["default", "hw-cpu"])
    tasks._listen(sender="celery@host-1", instance=SimpleNamespace(app=app))
    assert set(app.amqp.queues.consume_from) == {"default", "hw-gpu-a100-large", "at-celery-host-1"}


@pytest.mark.usefixtures("simulated")
def test_gpus_of_no_class_end_the_worker_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    HardwareFactory._meta.model.objects.all().delete()
    with pytest.raises(SystemExit, match="No class of hardware is made of NVIDIA A100"):
        tasks._listen(sender="celery@host-1", instance=SimpleNamespace(app=Celery("nowhere", broker="memory://")))


def test_two_publishers_get_a_simulated_gpu_each_and_a_third_none(tmp_path: Path) -> None:
    agent = Agent(hardware="gpu", capacity=Capacity(devices=(Device("a", 80), Device("b", 80))), var=tmp_path)

    def asks(tenant: str, version: str, memory: int = 30) -> str | None:
        spec = InstanceSpec(version_id=version, build=tmp_path, tenant=tenant, gpu_memory=memory)
        if agent.acquire(spec) is None:
            return None
        return str(agent.describe()["instances"][-1]["device"])

    assert asks("p", "p1") == "a"
    assert asks("q", "q1") == "b"
    assert asks("r", "r1") is None
    assert asks("p", "p2") == "a"
    assert asks("p", "p3") is None  # 90 of 80
    assert agent.describe()["slots"] == 2
