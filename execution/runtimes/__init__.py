"""Where a creator's code runs: one module per kind of isolation, behind the protocol of `base`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from execution.runtimes.base import Runtime

RUNTIMES: Final = {
    "process": "execution.runtimes.process.ProcessRuntime",
    "docker": "execution.runtimes.docker.DockerRuntime",
    "host": "execution.runtimes.host.HostRuntime",
}


def load(*, kind: str, var: Path) -> Runtime:
    """The runtime of this kind, working under `var`. Raises KeyError for a kind that is not registered."""
    module, _, name = RUNTIMES[kind].rpartition(".")
    runtime: Runtime = getattr(import_module(module), name)(var=var)
    return runtime
