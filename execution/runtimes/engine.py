"""The Docker engine of this host, where there is one: how it is reached, what it can do, and containers' walls."""

from __future__ import annotations

import functools
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import DockerException, ImageNotFound
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from execution.runtimes.base import MEBIBYTE, RunLimits

NOBODY: Final = "65534:65534"
LABEL: Final = "turnpike"
CALLS: Final = Path(__file__).with_name("allowed_calls.json")
# What an image's environment may not set: the loader would obey it before any wall of ours stands, and the GPU
# toolkit's hooks have done so outside the container (CVE-2025-23266).
REFUSED_VARIABLES: Final = re.compile(r"(?:LD_|NVIDIA_|_?RLD|GCONV_PATH|GLIBC_TUNABLES|MALLOC_).*")
ANSWER_SECONDS: Final = 10
DEFAULT_HOST: Final = "unix:///var/run/docker.sock"


class NoEngine(Exception):
    """No Docker engine answers, or it lacks the base image; the text says which and what to do."""


def connect(*, seconds: float = 60) -> docker.DockerClient:
    """The engine that DOCKER_HOST names, or the host's own; each answer may take so long. Raises NoEngine."""
    _knock()
    try:
        client = docker.from_env(timeout=int(seconds))
    except DockerException as error:
        raise NoEngine(f"no Docker engine answers ({error})") from error
    try:
        client.ping()
    except Exception as error:
        client.close()
        raise NoEngine(f"no Docker engine answers ({error})") from error
    return client


def _knock() -> None:
    """Raise NoEngine when nobody listens at a unix socket: the client library would leave its own end open."""
    address = os.environ.get("DOCKER_HOST", "") or DEFAULT_HOST
    if not address.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise NoEngine(f"no Docker engine answers at {address} ({error.strerror})") from None


def base_image() -> str:
    """The image that all builds begin with: TURNPIKE_BASE_IMAGE, or the one that `manage.py base_image` makes."""
    return os.environ.get("TURNPIKE_BASE_IMAGE", "") or "turnpike/base:bookworm"


@dataclass(frozen=True, slots=True)
class Engine:
    """What was found. `isolation` is "gvisor" where runsc is installed, else "container"."""

    isolation: str
    note: str
    runtime: str


def survey(*, needs_base: bool = True) -> Engine:
    """What this host's engine can do. Raises NoEngine when there is none, or no base image where one is needed."""
    client = connect(seconds=ANSWER_SECONDS)
    try:
        if needs_base:
            client.images.get(base_image())
        return _describe(client.info())
    except ImageNotFound:
        raise NoEngine(
            f"the engine has no image {base_image()}: make it by `manage.py base_image`, or set TURNPIKE_BASE_IMAGE"
        ) from None
    finally:
        client.close()


def _describe(info: Mapping[str, Any]) -> Engine:
    options = " ".join(info.get("SecurityOptions") or ())
    notes = [] if "seccomp" in options else ["this engine applies no seccomp profile"]
    if not info.get("SwapLimit", True):
        notes.append("this kernel does not count swap")
    runsc = "runsc" in (info.get("Runtimes") or {})
    return Engine(isolation="gvisor" if runsc else "container", note="; ".join(notes), runtime="runsc" if runsc else "")


def refuse_variables(variables: Sequence[str]) -> None:
    """Raise ValueError when an image's environment ("NAME=value" each) could reach the loader or a GPU hook."""
    for one in variables:
        name = one.partition("=")[0]
        if REFUSED_VARIABLES.fullmatch(name) and not _is_empty_nvidia(one):
            raise ValueError(f"the image sets {name}, which images may not set here")


def _is_empty_nvidia(variable: str) -> bool:
    return variable in ("NVIDIA_VISIBLE_DEVICES=", "NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_VISIBLE_DEVICES=none")


@functools.cache
def allowed_calls() -> str:
    """The seccomp profile as the engine takes it: JSON text."""
    return json.dumps(json.loads(CALLS.read_text()))


def walls(
    *,
    limits: RunLimits,
    engine: Engine,
    mounts: Mapping[str, str] | None = None,
    gpus: Sequence[str] = (),
    cpus: float = 0.0,
    may_compile: bool = False,
) -> dict[str, Any]:
    """The arguments of docker-py's `create` that make a container of a stranger's code.

    `mounts` are host path -> path inside, all read-only; `gpus` are device ids, never a count. `may_compile`: files in
    /tmp may be executed, which compilers of GPU code need.
    """
    tmp = f"rw,nosuid,nodev,{'exec' if may_compile else 'noexec'}"
    return {
        "user": NOBODY,
        "runtime": engine.runtime or None,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={allowed_calls()}"],
        "read_only": True,
        "tmpfs": {"/tmp": f"{tmp},size={limits.tmp_bytes},mode=1777"},  # noqa: S108  the container's own
        "pids_limit": limits.processes,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "nano_cpus": int(cpus * 1_000_000_000) or None,
        "shm_size": 64 * MEBIBYTE,
        "ipc_mode": "private",
        "ulimits": [
            Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files),
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=limits.tmp_bytes, hard=limits.tmp_bytes),
        ],
        "network_mode": "none",
        "hostname": "model",
        "device_requests": [DeviceRequest(device_ids=list(gpus), capabilities=[["gpu"]])] if gpus else None,
        "mounts": [
            Mount(target=inside, source=outside, type="bind", read_only=True)
            for outside, inside in (mounts or {}).items()
        ],
        # What it prints is read as it comes and kept in memory; on disk at most this much lies, whatever it prints.
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
        "oom_kill_disable": False,
        "stop_signal": "SIGKILL",
    }
