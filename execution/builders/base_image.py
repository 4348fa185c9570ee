"""The image that builds begin with where no registry answers: Debian from its own packages, by debootstrap."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import docker

SUITE: Final = "bookworm"
PACKAGES: Final = ("python3", "python3-venv", "ca-certificates")
# What no model reads; it would be two thirds of the image.
_NEEDLESS: Final = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


class CannotMake(Exception):
    """The tree cannot be made here; the text says why."""


def tree(*, folder: Path, log: Callable[[str], None]) -> Path:
    """Debian as a tar file in `folder`, made once (a minute or two, as root). Raises CannotMake."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)  # whoever comes while it is being made waits for it
        archive = folder / f"{SUITE}.tar"
        if not archive.is_file():
            _make(folder=folder, archive=archive, log=log)
    return archive


def _make(*, folder: Path, archive: Path, log: Callable[[str], None]) -> None:
    program = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin")
    if program is None:
        raise CannotMake("debootstrap is not installed: apt-get install debootstrap")
    root, half = folder / f"{SUITE}.root", folder / f"{SUITE}.tar.half"
    shutil.rmtree(root, ignore_errors=True)
    log(f"Fetching Debian {SUITE} (once; a minute or two).")
    # Without a mirror named, debootstrap takes its own default for the suite.
    command = [program, "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotMake(f"debootstrap ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
        for needless in _NEEDLESS:
            shutil.rmtree(root / needless, ignore_errors=True)
            (root / needless).mkdir(parents=True, exist_ok=True)
        with tarfile.open(half, "w") as file:
            file.add(root, arcname=".")
        half.rename(archive)  # whole or not at all
    finally:
        shutil.rmtree(root, ignore_errors=True)


def load(*, client: docker.DockerClient, archive: Path, name: str) -> str:
    """Hand the tree to the engine under this name; the image's id."""
    repository, _, tag = name.partition(":")
    answer = client.api.import_image_from_file(str(archive), repository=repository, tag=tag or "latest")
    if "errorDetail" in answer:
        raise CannotMake(f"the engine refused the image: {answer[:500]}")
    return str(client.images.get(name).id)
