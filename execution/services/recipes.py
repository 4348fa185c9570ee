"""What a version's build came to, kept where all hosts find it: enough to make the same build on another host.

In the file storage, below builds/<version>/: recipe.json with the exact packages, and the weights of a version that a
training made. The sources are the archive of its upload, which lies there already. None of it is trusted when it is
read: what is made of it must have the version's own digest (`services/copies`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.core.files.base import ContentFile
from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage

from execution import limits
from execution.builders import environments
from execution.builders.base import Recipe
from execution.services import builds
from marketplace.models import Version

logger = structlog.get_logger(__name__)


class NoRecipe(Exception):
    """The storage has nothing of this version that could be read; the text says so."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a version that a training made: the file's name, and what the version's digest is made of."""

    name: str
    sha256: str
    origin: str
    training: str

    @property
    def digest(self) -> str:
        """The version's id. Of this training alone: the same data trained twice are two versions."""
        return hashlib.sha256("\n".join(("trained", self.origin, self.sha256, self.training)).encode()).hexdigest()


def keep(version: Version) -> bool:
    """Keep the recipe of a build of this host, once; False where it cannot be kept.

    A build of an image has none (its registry has it), nor one that an earlier Turnpike made as a container.
    """
    try:
        record = json.loads((builds.folder(version.build_path) / "build.json").read_text())
        found = _read_off(record, version)
        if found is None:
            return False
        kept = json.dumps(found).encode()
        if _stored(_path(version.pk)) == kept:
            return True
        if "trained" in record:
            with (builds.folder(version.build_path) / record["weights"]).open("rb") as file:
                _save(weights_path(version.pk), StorageFile(file))
        _save(_path(version.pk), ContentFile(kept))
        return True
    except (OSError, ValueError, KeyError) as error:
        logger.warning("recipe_not_kept", version=version.pk, reason=str(error)[:300])
        return False


def read(version: Version) -> tuple[Recipe, Weights | None]:
    """The recipe of a version, as whichever host built it kept it. Raises NoRecipe."""
    try:
        stored = _stored(_path(version.pk))
        if not stored:
            raise NoRecipe("the host that built it has kept nothing of it for others")
        found = json.loads(stored)
        recipe = Recipe(
            kind=str(found["kind"]),
            python_version=str(found["python_version"]),
            cog_version=str(found["cog_version"]),
            packages=tuple(str(one) for one in found["packages"]),
            schema=version.openapi_schema,
            base=str(found["base"]),
        )
        return recipe, Weights(**found["trained"]) if found["trained"] else None
    except (OSError, ValueError, KeyError, TypeError):
        raise NoRecipe("what is kept of it for other hosts is damaged") from None


def forget(version_id: str) -> None:
    """Remove what is kept of a version that was deleted."""
    for path in (_path(version_id), weights_path(version_id)):
        default_storage.delete(path)


def weights_path(version_id: str) -> str:
    """Where a version's weights lie in the storage."""
    return f"builds/{version_id}/weights"


def _path(version_id: str) -> str:
    return f"builds/{version_id}/recipe.json"


def _read_off(record: dict[str, Any], version: Version) -> dict[str, Any] | None:
    if record.get("kind") == "docker" and "base" not in record:
        return None
    packages = record.get("packages")
    if packages is None:  # of an earlier Turnpike, which wrote them down with the environment alone
        packages = environments.packages_in(Path(record["environment"]))
    return {
        "kind": record.get("kind", "process"),
        "python_version": record["python_version"],
        "cog_version": version.cog_version,
        "packages": packages,
        "base": record.get("base", ""),
        "trained": record.get("trained"),
    }


def _stored(path: str) -> bytes:
    try:
        with default_storage.open(path, "rb") as file:
            return bytes(file.read(limits.MEBIBYTE))
    except FileNotFoundError:
        return b""


def _save(path: str, content: StorageFile[bytes]) -> None:
    """Under exactly this name: of two that keep the same at once one is enough, since they keep the same."""
    default_storage.delete(path)
    saved = default_storage.save(path, content)
    if saved != path:
        default_storage.delete(saved)
