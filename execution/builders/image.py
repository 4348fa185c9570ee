"""Makes a version of an image that Cog has built: asked for and pulled from its registry, pinned by digest.

Nothing of the image runs while it is looked at but one import of Cog, behind the walls of a run. What a version runs is
one layer on top of it: the schema, where Cog's server reads it, without which the server would not stream.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound

from execution.builders import cog_image, dockerfiles, steps, version_image
from execution.builders.base import COG_VERSION, BuildCanceled, BuildFailed, BuildLimits, Built
from execution.builders.work import Work, swept
from execution.package import Image
from execution.runtimes import engine

SILENT_SECONDS: Final = 60.0
WHICH_COG: Final = ("python", "-c", "import importlib.metadata as m, cog; print(m.version('cog'))")


def build(
    image: Image,
    *,
    credentials: Mapping[str, str],
    pinned: Callable[[str], None],
    target: Path,
    log: Callable[[str], None],
    limits: BuildLimits,
    is_canceled: Callable[[], bool],
    salt: str = "",
) -> Built:
    """A version of the image; `pinned` is told its digest before it is pulled. Raises BuildFailed, BuildCanceled.

    `credentials` (username and password, or none) go to the engine with the two requests that need them, and nowhere
    else. `target` gets build.json and the schema, as of any container.
    """
    try:
        found = engine.survey(needs_base=False)
        client = engine.connect(seconds=SILENT_SECONDS)
    except engine.NoEngine as error:
        raise BuildFailed(
            f"This host cannot take images: {error}. Its operator can start Docker, or name an engine in DOCKER_HOST."
        ) from error
    staging = target.with_name(f".{target.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with swept(client):
            work = Work(client, found, log, limits, is_canceled)
            digest = _ask(client, image, credentials)
            pinned(digest)
            log(f"The image is {image.at(digest)}.")
            with _removed_unless_taken(client, image.at(digest)):
                _pull(client, image, digest, credentials, log, limits, is_canceled)
                return _freeze(work, client.images.get(image.at(digest)), image.at(digest), staging, target, salt)
    except DockerException as error:
        raise BuildFailed(f"The Docker engine failed: {steps.masked(str(error))[:500]}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        client.close()


@contextmanager
def _removed_unless_taken(client: docker.DockerClient, name: str) -> Iterator[None]:
    """An image that was pulled for nothing does not stay; one that was there before does."""
    try:
        client.images.get(name)
        was_there = True
    except ImageNotFound:
        was_there = False
    try:
        yield
    except BaseException:
        if not was_there:
            with suppress(DockerException):
                client.images.remove(name)
        raise


def _ask(client: docker.DockerClient, image: Image, credentials: Mapping[str, str]) -> str:
    """The digest that the registry gives to whoever has these credentials.

    Asked each time, also where the engine has the image: it may be there for another account's credentials.
    """
    try:
        ask: Any = client.api.inspect_distribution  # whose types nobody has written
        answer = ask(image.text, auth_config=dict(credentials))
        return str(answer["Descriptor"]["digest"])
    except APIError as error:
        raise BuildFailed(_refusal(image, str(error.explanation or error))) from error


def _refusal(image: Image, said: str) -> str:
    low = said.lower()
    if any(word in low for word in ("unauthorized", "denied", "no basic auth", "authentication required")):
        return f"{image.registry} refuses {image.text}: publish it with its user name and password."
    if "not found" in low or "unknown" in low:
        return f"{image.registry} has no image {image.text}."
    return f"{image.registry} could not be asked for {image.text}: {steps.masked(said)[:300]}"


def _pull(
    client: docker.DockerClient,
    image: Image,
    digest: str,
    credentials: Mapping[str, str],
    log: Callable[[str], None],
    limits: BuildLimits,
    is_canceled: Callable[[], bool],
) -> None:
    """Have the engine pull it; one that leaves this loop early makes the engine stop, whose writing then fails."""
    deadline = time.monotonic() + limits.seconds
    sizes: dict[str, int] = {}
    events = client.api.pull(image.name, tag=digest, stream=True, decode=True, auth_config=dict(credentials))
    try:
        for event in events:
            if "error" in event:
                raise BuildFailed(_refusal(image, str(event["error"])))
            if is_canceled():
                raise BuildCanceled("Canceled while pulling the image.")
            if time.monotonic() > deadline:
                raise BuildFailed(f"Pulling the image took longer than the limit of {limits.seconds:g} s.")
            layer, status = str(event.get("id", "")), str(event.get("status", ""))
            sizes[layer] = int((event.get("progressDetail") or {}).get("total") or sizes.get(layer, 0))
            if sum(sizes.values()) > limits.environment_bytes:
                raise BuildFailed(f"The image takes more than the limit of {limits.environment_bytes:,} bytes.")
            if status in ("Pull complete", "Already exists"):
                log(f"{layer}: {status.lower()}")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise BuildFailed(f"{image.registry} sent nothing for {SILENT_SECONDS:g} s.") from error
    finally:
        events.close()


def _freeze(work: Work, image: Any, pinned: str, staging: Path, target: Path, salt: str) -> Built:
    found = cog_image.read(work.client, image)
    size = int(image.attrs["Size"])
    if size > work.limits.environment_bytes:
        raise BuildFailed(f"The image takes {size:,} bytes; the limit is {work.limits.environment_bytes:,}.")
    cog = _version_of_cog(work, str(image.id))
    text = json.dumps(found.schema, indent=1)
    name = hashlib.sha256("\n".join((pinned, text, cog, salt)).encode()).hexdigest()
    frozen = work.image(
        # Nothing is run for this layer: an image's own ONBUILD was refused.
        f"FROM {image.id}\nCOPY openapi_schema.json {cog_image.SCHEMA_AT}\nHEALTHCHECK NONE\nUSER {engine.NOBODY}\n",
        dockerfiles.context(None, openapi_schema_json=text),
        what="The image",
        network="none",
        tag=f"turnpike/version:{name}",
        labels={engine.LABEL: "version", f"{engine.LABEL}.version": name},
    )
    record = {
        "kind": "docker",
        "image": frozen,
        "from": pinned,
        "reference": found.reference,
        "train": found.train,
        "serves": "predictions",
        "path": found.path,
        "python_version": "",
        "concurrency": found.concurrency,
        "gpu": found.gpu,
        "digest": name,
    }
    version_image.write(staging, target, text, record)
    work.log(f"Took {name[:12]} from the image: {size:,} bytes.")
    return Built(
        folder=target,
        python=Path("python"),
        schema=found.schema,
        digest=name,
        size_bytes=size,
        cog_version=cog,
        python_version="",
        packages=(),
    )


def _version_of_cog(work: Work, image: str) -> str:
    """Cog's version, asked of the image behind the walls: only the one that our runtime was tested with is taken."""
    status, output, said = work.once(image, list(WHICH_COG))
    version = output.decode("utf-8", "replace").strip()[:32]
    if status != 0:
        for line in said.splitlines()[-20:]:
            work.log(line)
        raise BuildFailed("The image's python cannot import cog as an unprivileged user without a network.")
    if version.split(".")[:2] != COG_VERSION.split(".")[:2]:
        raise BuildFailed(f"The image has Cog {version}; here Cog {COG_VERSION} runs: build it with that.")
    return version
