"""Builds an upload as an image of this host's Docker engine: dependencies with a network, the rest without one.

The Dockerfiles are ours, made from cog.yaml, and need no BuildKit. Dependencies are one image for each set of
requirements; the creator's commands and code come on top of it with `--network none`. The last image is used by its
digest and by nothing else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from execution.builders import dependencies, dockerfiles, inspected, source_folder, steps, version_image
from execution.builders.base import COG_VERSION, BuildFailed, BuildLimits, Built, Recipe
from execution.builders.process import INSPECTION, INSPECTION_AT
from execution.builders.work import Work, swept
from execution.package import CogConfig, PackageError, Requirement, digest
from execution.runtimes import engine
from execution.schema import of_chat


def build(
    *,
    source: Path,
    target: Path,
    var: Path,
    log: Callable[[str], None],
    limits: BuildLimits | None = None,
    is_canceled: Callable[[], bool] = lambda: False,
    salt: str = "",
    again: Recipe | None = None,
) -> Built:
    """See base.Build. `target` gets build.json, which names the image, and the schema."""
    limits = limits or BuildLimits()
    config = source_folder.read_config_of(source)
    requirements = again.requirements if again else source_folder.requirements_of(source, config)
    source_folder.refuse_links(source)
    try:
        found = engine.survey()
        # A step of a build may say nothing for as long as the whole build may take.
        client = engine.connect(seconds=limits.seconds + 60)
    except engine.NoEngine as error:
        raise BuildFailed(f"This host cannot build containers: {error}.") from error
    staging = target.with_name(f".{target.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with swept(client):
            work = Work(client, found, log, limits, is_canceled)
            return _build(work, config, requirements, source, staging, target, salt, again)
    except DockerException as error:
        raise BuildFailed(f"The Docker engine failed: {steps.masked(str(error))[:500]}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        client.close()


def _build(
    work: Work,
    config: CogConfig,
    requirements: Sequence[Requirement],
    source: Path,
    staging: Path,
    target: Path,
    salt: str,
    again: Recipe | None,
) -> Built:
    base = work.client.images.get(engine.base_image())
    if again is not None and again.base != base.id:
        raise BuildFailed(
            f"It was built on the image {again.base[:19]}, and {engine.base_image()} is another one here: its operator "
            "brings that image to this host (docker save, docker load) and names it by TURNPIKE_BASE_IMAGE."
        )
    python = _python_of(work, str(base.id))
    if config.python_version and not python.startswith(f"{config.python_version}."):
        raise PackageError(
            f"cog.yaml: build.python_version is {config.python_version}; this host's base image has Python {python}."
        )
    work.log(f"Building {config.reference} as a container for Python {python}, isolation: {work.engine.isolation}.")
    installed = dependencies.install(work, str(base.id), config, requirements, python)
    packages = dependencies.packages_of(work, installed)
    frozen = source_folder.freeze(source, staging / "src", work.limits)
    coded = work.image(
        dockerfiles.of_code(installed, config),
        dockerfiles.context(frozen, under="src"),
        what="The sources",
        network="none",
    )
    try:
        if again is not None:
            schema = again.schema
        elif config.chat is not None:
            schema = of_chat(asdict(config.chat))
        else:
            unread = source_folder.unread_requirements(source, config)
            schema = inspected.whole(config, inspect=lambda one: _inspect(work, coded, one, unread), log=work.log)
        text = json.dumps(schema, indent=1)
        cog = again.cog_version if again else COG_VERSION
        extra = [f"cog=={cog}", f"python=={python}", f"base=={base.id}", *config.run_commands, *packages, salt]
        name = digest(frozen, extra=extra)
        labels = {
            engine.LABEL: "version",
            f"{engine.LABEL}.version": name,
            "run.cog.version": cog,
            "run.cog.openapi_schema": json.dumps(schema, separators=(",", ":")),
        }
        image = work.image(
            f"FROM {coded}\nCOPY openapi_schema.json /src/.cog/openapi_schema.json\nUSER {engine.NOBODY}\n",
            dockerfiles.context(None, openapi_schema_json=text),
            what="The image",
            network="none",
            tag=f"turnpike/version:{name}",
            labels=labels,
        )
    finally:
        work.forget(coded)
    size = steps.size_of(frozen)
    record = _record(config, image, name, python) | {"packages": packages, "base": str(base.id)}
    version_image.write(staging, target, text, record)
    work.log(f"Built {name[:12]} as {image[:19]}…: {size} bytes of sources, {len(packages)} packages.")
    return Built(
        folder=target,
        python=Path(f"{dockerfiles.VENV}/bin/python"),
        schema=schema,
        digest=name,
        size_bytes=size,
        cog_version=cog,
        python_version=python,
        packages=packages,
        concurrency=config.concurrency,
        gpu_memory_mib=config.gpu_memory_mib,
    )


def _python_of(work: Work, image: str) -> str:
    """The base image's Python, "3.11.2". Raises BuildFailed when it has none."""
    status, output, said = work.once(image, ["python3", "-c", "import platform; print(platform.python_version())"])
    if status != 0:
        raise BuildFailed(f"The base image {engine.base_image()} has no working python3: {said[:300]}")
    return output.decode().strip()


def _inspect(work: Work, image: str, config: CogConfig, unread: str) -> dict[str, Any]:
    """Cog's schema of the predictor: imports the creator's code, behind the walls of a run."""
    command = [f"{dockerfiles.VENV}/bin/python", "-B", INSPECTION_AT, config.path, config.name]
    status, output, said = work.once(image, command, {str(INSPECTION): INSPECTION_AT})
    for line in said.splitlines()[:200]:
        work.log(line)
    return inspected.read(status=status, output=output, config=config, log=work.log, unread=unread)


def _record(config: CogConfig, image: str, name: str, python: str) -> dict[str, Any]:
    return {
        "kind": "docker",
        "image": image,
        "reference": config.reference,
        "train": config.train,
        "serves": "chat" if config.chat else "predictions",
        "python_version": python,
        "concurrency": config.concurrency,
        "gpu": config.gpu,
        "digest": name,
    }
