"""What every builder takes and gives. No Django here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from execution.package import Requirement

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


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the first build of some sources came to: enough to make the same build again, on another host.

    `packages` are exact, with Cog itself among them; `base` is the id of the image that containers were built on.
    """

    kind: str
    python_version: str
    cog_version: str
    packages: tuple[str, ...]
    schema: dict[str, Any]
    base: str = ""

    @property
    def python(self) -> str:
        """The minor version, as cog.yaml names it: an update of the host's Python changes no version of a model."""
        return ".".join(self.python_version.split(".")[:2])

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """Exactly these packages, and nothing that they ask for in turn."""
        origin = "the packages of its first build"
        return tuple(
            Requirement(text=one, name=one.partition("==")[0], origin=origin, alone=True) for one in self.packages
        )


def resolved(requirements: Sequence[Requirement]) -> list[str]:
    """The lines that pip installs with all that they ask for: Cog is among them, unless a recipe names it."""
    wanted = [one.text for one in requirements if not one.alone]
    return wanted if any(one.name == "cog" for one in requirements) else [f"cog=={COG_VERSION}", *wanted]


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
        again: Recipe | None = None,
    ) -> Built:
        """`log` gets lines without their end, from this thread. Raises BuildFailed, BuildCanceled, PackageError.

        `again`: build as the first time. Nothing is resolved, and no code of the sources is run to look at it.
        """
        ...
