"""Makes a version of an image that Cog has built: asked for and pulled from its registry, pinned by digest.

Nothing of the image runs while it is looked at but one import of Cog, behind the walls of a run. What a version runs is
one layer on top of it: the schema, where Cog's server reads it, without which the server would not stream.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from execution import training
from execution.builders import dockerfiles, steps, version_image
from execution.builders.base import COG_VERSION, BuildCanceled, BuildFailed, BuildLimits, Built
from execution.builders.work import Work, swept
from execution.package import Image
from execution.package.config import REFERENCE
from execution.runtimes import engine
from execution.schema import InvalidSchema

SILENT_SECONDS: Final = 60.0
MAX_SCHEMA_BYTES: Final = 1024 * 1024
WORK_AT: Final = "/src"
SCHEMA_AT: Final = "/src/.cog/openapi_schema.json"
SCHEMA_LABEL: Final = "run.cog.openapi_schema"
CONFIG_LABEL: Final = "run.cog.config"
WHICH_COG: Final = ("python", "-c", "import importlib.metadata as m, cog; print(m.version('cog'))")


@dataclass(frozen=True, slots=True)
class Found:
    """What an image says of itself: its schema, the predictor, how it runs. `path` is its PATH.

    `train` is its train function, where it has one whose weights could become a version.
    """

    schema: dict[str, Any]
    reference: str
    train: str
    path: str
    concurrency: int
    gpu: bool


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
    found = read(work.client, image)
    size = int(image.attrs["Size"])
    if size > work.limits.environment_bytes:
        raise BuildFailed(f"The image takes {size:,} bytes; the limit is {work.limits.environment_bytes:,}.")
    cog = _version_of_cog(work, str(image.id))
    text = json.dumps(found.schema, indent=1)
    name = hashlib.sha256("\n".join((pinned, text, cog, salt)).encode()).hexdigest()
    frozen = work.image(
        # Nothing is run for this layer: an image's own ONBUILD was refused.
        f"FROM {image.id}\nCOPY openapi_schema.json {SCHEMA_AT}\nHEALTHCHECK NONE\nUSER {engine.NOBODY}\n",
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


def read(client: docker.DockerClient, image: Any) -> Found:
    """What the image says of itself, without running any of it. Raises BuildFailed for what cannot be run here."""
    config = image.attrs["Config"] or {}
    variables = list(config.get("Env") or ())
    try:
        engine.refuse_variables(variables)
    except ValueError as error:
        raise BuildFailed(f"The image cannot be run: {error}.") from None
    for name, why in (("OnBuild", "an ONBUILD"), ("Volumes", "a VOLUME, which would be written to without a limit")):
        if config.get(name):
            raise BuildFailed(f"The image has {why}: build it without.")
    if (config.get("WorkingDir") or "").rstrip("/") != WORK_AT:
        raise BuildFailed(f"The image does not work in {WORK_AT}, as those do that `cog build` makes.")
    labels = config.get("Labels") or {}
    own = _json(labels.get(CONFIG_LABEL, "{}"), CONFIG_LABEL)
    environment = dict(one.partition("=")[::2] for one in variables)
    reference = str(environment.get("COG_PREDICT_TYPE_STUB") or own.get("run") or own.get("predict") or "")
    if not REFERENCE.fullmatch(reference):
        raise BuildFailed(f"The image does not say which predictor it has (label {CONFIG_LABEL}): use `cog build`.")
    schema = _json(labels.get(SCHEMA_LABEL) or _schema_file(client, image), SCHEMA_LABEL)
    post = _at(schema, "paths", "/predictions", "post")
    if not isinstance(post, dict):
        raise BuildFailed(f"The image's schema (label {SCHEMA_LABEL}) has no POST /predictions: use `cog build`.")
    post["x-cog-streaming"] = True
    most = _at(own, "concurrency", "max")
    train = str(environment.get("COG_TRAIN_TYPE_STUB") or own.get("train") or "")
    if not (REFERENCE.fullmatch(train) and _trains(schema)):
        train, schema = "", training.without(schema)
    return Found(
        schema=schema,
        reference=reference,
        train=train,
        path=environment.get("PATH") or "/usr/local/bin:/usr/bin:/bin",
        concurrency=most if isinstance(most, int) and 1 <= most <= 100 else 1,
        gpu=bool(_at(own, "build", "gpu")),
    )


def _trains(schema: dict[str, Any]) -> bool:
    try:
        return training.is_offered(schema) and training.gives_weights(schema)
    except (InvalidSchema, AttributeError, TypeError):
        return False


def _at(value: Any, *keys: str) -> Any:
    """What lies at this path of a stranger's JSON; None where there is no such path."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) <= MAX_SCHEMA_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BuildFailed(f"The image's label {name} is no JSON object of at most {MAX_SCHEMA_BYTES:,} characters.")
    return found


def _schema_file(client: docker.DockerClient, image: Any) -> str:
    """The schema as a file, which Cog puts into the image too; read from a container that is never started."""
    container = client.containers.create(image.id, ["true"], labels={engine.LABEL: "build"})
    try:
        pieces, about = container.get_archive(SCHEMA_AT)
        if about is None or int(about["size"]) > MAX_SCHEMA_BYTES or about.get("linkTarget"):
            raise BuildFailed(f"The image's {SCHEMA_AT} is no file of at most {MAX_SCHEMA_BYTES:,} bytes.")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            member = next(iter(archive), None)
            content = archive.extractfile(member) if member is not None and member.isfile() else None
            return content.read().decode("utf-8", "replace") if content else ""
    except NotFound:
        raise BuildFailed(
            f"This is no image of Cog's: it has neither the label {SCHEMA_LABEL} nor {SCHEMA_AT}. Use `cog build`."
        ) from None
    finally:
        with suppress(APIError, ImageNotFound):
            container.remove(force=True)


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
