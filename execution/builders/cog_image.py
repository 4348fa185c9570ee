"""What an image that Cog has built says of itself; nothing of it runs for that."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from execution import training
from execution.builders.base import BuildFailed
from execution.package.config import REFERENCE
from execution.runtimes import engine
from execution.schema import InvalidSchema

MAX_SCHEMA_BYTES: Final = 1024 * 1024
WORK_AT: Final = "/src"
SCHEMA_AT: Final = "/src/.cog/openapi_schema.json"
SCHEMA_LABEL: Final = "run.cog.openapi_schema"
CONFIG_LABEL: Final = "run.cog.config"


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
