"""What every builder takes and gives. No Django here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

MEBIBYTE: Final = 1024 * 1024
COG_VERSION: Final = "0.23.1"


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """Bounds of one build, in seconds and bytes; every failure names the one that it met."""

    seconds: float = 900.0
    inspect_seconds: float = 60.0
    environment_bytes: int = 8 * 1024 * MEBIBYTE
    source_bytes: int = 2 * 1024 * MEBIBYTE
    memory_bytes: int = 4 * 1024 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: immutable from here on.

    `folder` holds src/ (the creator's files with .cog/openapi_schema.json) and build.json; `python` is the interpreter
    of its environment, which equal requirement sets share; `digest` is 64 hex over sources, Cog's version, Python's
    version, the exact packages and the salt. `concurrency`: runs that one instance takes at one time.
    `gpu_memory_mib`: what it takes of a GPU; 0 is all.
    """

    folder: Path
    python: Path
    schema: dict[str, Any]
    digest: str
    size_bytes: int
    cog_version: str
    python_version: str
    packages: tuple[str, ...]
    concurrency: int = 1
    gpu_memory_mib: int = 0


class BuildFailed(Exception):
    """The upload cannot be built; the text says what to change and where."""


class BuildCanceled(Exception):
    """Somebody asked to stop. Nothing is left behind."""


class Build(Protocol):
    """Build `source` (an unpacked upload) into `target`, which appears whole or, after a failure, not at all."""

    def __call__(
        self,
        *,
        source: Path,
        target: Path,
        var: Path,
        log: Callable[[str], None],
        limits: BuildLimits,
        is_canceled: Callable[[], bool],
        salt: str = "",
    ) -> Built:
        """`log` gets lines without their end, from this thread. Raises BuildFailed, BuildCanceled, PackageError."""
        ...
