"""Every build in the runtime that it was built for: a host may have processes and containers side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from execution import runtimes
from execution.runtimes import engine, records, starting
from execution.runtimes.base import Instance, InstanceSpec, Runtime, StartFailed

CHOICES: Final = ("auto", "process", "docker")


def chosen() -> str:
    """What new versions are built for, by TURNPIKE_RUNTIME: docker where an engine and a base image answer (auto)."""
    wanted = os.environ.get("TURNPIKE_RUNTIME", "") or "auto"
    if wanted not in CHOICES:
        raise ValueError(f"TURNPIKE_RUNTIME is {', '.join(CHOICES)}, not {wanted!r}")
    if wanted != "auto":
        return wanted
    try:
        engine.survey()
    except engine.NoEngine:
        return "process"
    return "docker"


class HostRuntime:
    """The runtime of a host as a whole. `isolation` is that of new versions."""

    kind = "host"

    def __init__(self, *, var: Path) -> None:
        self._var = var
        self._lock = threading.Lock()
        self._loaded: dict[str, Runtime] = {}
        preferred = self._runtime(chosen())
        self.isolation = preferred.isolation
        self.isolation_note = preferred.isolation_note

    def _runtime(self, kind: str) -> Runtime:
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = runtimes.load(kind=kind, var=self._var)
            return self._loaded[kind]

    def start(self, spec: InstanceSpec, *, is_canceled: Callable[[], bool] = lambda: False) -> Instance:
        """Start the build in its runtime. Raises SetupFailed or StartFailed.

        A host that was told to use containers only (TURNPIKE_RUNTIME=docker) runs nothing as a process.
        """
        build, _ = starting.read_build(spec)
        kind = str(build.get("kind", "process"))
        if kind == "process" and os.environ.get("TURNPIKE_RUNTIME") == "docker":
            raise StartFailed("This version was built to run as a process, which this host does not do: build it again")
        return self._runtime(kind).start(spec, is_canceled=is_canceled)

    def reap(self, *, pid: int, started_at: float, instance_id: str) -> bool:
        """End what a dead worker left, by the runtime that its record names."""
        record = records.read(self._var / "instances" / instance_id)
        return self._runtime(str(record.get("kind", "process"))).reap(
            pid=pid, started_at=started_at, instance_id=instance_id
        )
