"""Finds a Python of the wanted version on this host."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from execution.builders.base import BuildFailed
from execution.package.config import PYTHON_VERSIONS

QUESTION: Final = (
    "import json, os, platform, sys;"
    "print(json.dumps([platform.python_version(), os.path.realpath(sys.executable), sys.base_prefix]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: its exact version, its program, and the folder it lives in (shown to sandboxes unless below /usr)."""

    version: str
    program: Path
    prefix: Path

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def _ask(program: str) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [program, "-I", "-S", "-c", QUESTION], capture_output=True, text=True, check=False, timeout=20
        )
        version, path, prefix = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(version=version, program=Path(path), prefix=Path(os.path.realpath(prefix)))


def _candidates(minor: str) -> list[str]:
    home = Path.home()
    places = [shutil.which(f"python{minor}"), f"/usr/bin/python{minor}", f"/usr/local/bin/python{minor}"]
    for folder in (home / ".pyenv/versions", home / ".local/share/uv/python", Path("/opt/python")):
        places += [str(one) for one in sorted(folder.glob(f"*{minor}*/bin/python{minor}"), reverse=True)]
    return [place for place in places if place]


@functools.cache
def find(minor: str) -> Interpreter:
    """The Python of this "3.12"; of "" the one that runs us. Raises BuildFailed naming those that are here."""
    own = _ask(os.path.realpath(sys.executable))
    if own is not None and minor in ("", own.minor):
        return own
    for place in _candidates(minor):
        found = _ask(place)
        if found is not None and found.minor == minor:
            return found
    here = [version for version in PYTHON_VERSIONS if (own is not None and version == own.minor) or _here(version)]
    raise BuildFailed(
        f"cog.yaml asks for Python {minor}, which this host does not have. Here are: {', '.join(here) or 'none'}."
    )


def _here(minor: str) -> bool:
    return any((found := _ask(place)) is not None and found.minor == minor for place in _candidates(minor))
