"""What the requirements of a build become: one image for each set of them, used again by all that ask for the same."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from docker.errors import ImageNotFound

from execution.builders import dockerfiles, environments, pip
from execution.builders.base import COG_VERSION, BuildFailed
from execution.builders.work import Work
from execution.package import CogConfig, Requirement
from execution.runtimes import engine

LAYOUT: Final = "1"  # raise it when dependencies are made differently


def install(work: Work, base: str, config: CogConfig, requirements: Sequence[Requirement], python: str) -> str:
    """The image with all requirements: equal sets are one image."""
    texts = sorted(one.written for one in requirements)
    parts = [LAYOUT, base, f"cog=={COG_VERSION}", "packages", *sorted(config.system_packages), "pip", *texts]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    tag = f"turnpike/dependencies:{key}"
    with suppress(ImageNotFound):
        found = work.client.images.get(tag)
        work.log("These requirements were installed before; they are used again.")
        return str(found.id)
    work.log(f"Installing {len(requirements)} requirements and {len(config.system_packages)} system packages.")
    tool = pip.find_pip()
    if tool is None:
        raise BuildFailed("This host has no pip to build with: install python3-pip.")
    heard: list[str] = []
    try:
        return work.image(
            dockerfiles.of_dependencies(base, config),
            dockerfiles.tools(tool, requirements),
            what="The requirements",
            network=os.environ.get("TURNPIKE_BUILD_NETWORK", "") or "bridge",
            tag=tag,
            labels={engine.LABEL: "dependencies"},
            arguments=dockerfiles.index(tool),
            heard=heard,
        )
    except BuildFailed as error:
        if any("Unable to locate package" in line for line in heard):
            missing = next(line for line in heard if "Unable to locate package" in line).rpartition(" ")[2]
            raise BuildFailed(f"cog.yaml: the base image's Debian has no system package {missing!r}.") from error
        if any(line.startswith("ERROR: ") for line in heard):
            minor = ".".join(python.split(".")[:2])
            raise BuildFailed(environments.explain(heard, requirements, python=minor, status=1)) from error
        raise


def packages_of(work: Work, image: str) -> tuple[str, ...]:
    """Exactly what is installed, read from a file of the image: nothing of it runs for that."""
    container = work.client.containers.create(image, ["true"], labels={engine.LABEL: "build"})
    try:
        pieces, _ = container.get_archive("/opt/packages.txt")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            content = archive.extractfile("packages.txt")
            text = content.read().decode() if content else ""
    finally:
        container.remove(force=True)
    return tuple(sorted(line.strip().lower() for line in text.splitlines() if "==" in line))
