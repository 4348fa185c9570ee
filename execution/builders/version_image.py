"""What a build for containers leaves: an image of the version, and the folder whose record names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound

from execution.runtimes import engine


def write(staging: Path, target: Path, schema: str, record: Mapping[str, Any]) -> None:
    """The folder of the build: the code itself lies in the image."""
    shutil.rmtree(staging)
    (staging / "src/.cog").mkdir(parents=True)
    (staging / "src/.cog/openapi_schema.json").write_text(schema)
    (staging / "build.json").write_text(json.dumps(record, indent=1))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def share(record: Mapping[str, Any], *, digest: str) -> None:
    """Give a build's image a further name, of a version that runs it with weights of its own.

    It then stays until both versions are deleted. Raises DockerException, or engine.NoEngine.
    """
    client = engine.connect()
    try:
        client.images.get(str(record["image"])).tag(f"turnpike/version:{digest}")
    finally:
        client.close()


def remove(record: Mapping[str, Any]) -> None:
    """Remove the image of a build that is out of use; one that is gone already is no error."""
    try:
        client = engine.connect()
    except engine.NoEngine:
        return
    try:
        with suppress(ImageNotFound, APIError):
            client.images.remove(f"turnpike/version:{record['digest']}", force=True)
            if "from" in record:  # the image that it was made of, unless another version stands on it
                client.images.remove(record["from"])
    finally:
        client.close()
