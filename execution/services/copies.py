"""Versions whose build another host made: this host makes the same one again, and only the same.

A version's id is the digest of its sources, its Python and Cog, and its exact packages. So nothing that comes from the
storage has to be believed: what is built here counts when it has that digest, and is removed when it has not. What is
rebuilt and not carried over are virtual environments (they hold paths of their host) and images.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.core.files.storage import default_storage

from execution import builders, package
from execution.builders import locks, version_image
from execution.builders.base import BuildFailed, BuildLimits, Built
from execution.models import Build
from execution.runtimes.door import safe_name
from execution.services import builds, recipes
from execution.services.recipes import NoRecipe, Weights
from marketplace.lib.errors import Unavailable
from marketplace.models import Version

logger = structlog.get_logger(__name__)

WEIGHTS: Final = "weights"
_PIECE: Final = 1024 * 1024


class CannotCopy(Unavailable):
    """503: this host lacks the version's build and cannot make it; the message says who can change that, and how."""


def is_here(version: Version) -> bool:
    """Whether the version's build lies on this host."""
    return builds.folder(version.build_path).is_dir()


def bring(
    *, version: Version, log: Callable[[str], None], is_canceled: Callable[[], bool], bounds: BuildLimits | None = None
) -> None:
    """Make the version's build on this host, where it is not; whoever wants it meanwhile waits for it here.

    Takes as long as installing its packages. `log` gets lines without their end. Raises CannotCopy, BuildCanceled.
    """
    target = builds.folder(version.build_path)
    if target.is_dir():
        return
    folder = Path(settings.VAR) / "run" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    busy = "This host is making its build of this version; waiting for it."
    with locks.alone(folder / target.name, busy=busy, log=log, is_canceled=is_canceled):
        if target.is_dir():
            return
        log("This host has no build of this version yet: making it from the same sources and packages.")
        try:
            _make(version, target, log, is_canceled, bounds or BuildLimits())
        except (NoRecipe, BuildFailed, package.PackageError) as error:
            logger.warning("build_not_copied", version=version.pk, reason=str(error)[:500])
            raise CannotCopy(
                f"A host that has no build of {version.model.full_slug} could not make it: {error}"
            ) from None


def add_weights(*, folder: Path, weights: Weights, stored: str) -> None:
    """Make a trainer's build folder that of the version that a training made, whose weights are `stored`.

    Raises BuildFailed when they are not those of the training.
    """
    path = folder / WEIGHTS / safe_name(weights.name)
    path.parent.mkdir()
    digest = hashlib.sha256()
    with default_storage.open(stored, "rb") as source, path.open("wb") as out:
        while piece := source.read(_PIECE):
            digest.update(piece)
            out.write(piece)
    if digest.hexdigest() != weights.sha256:
        raise BuildFailed("the stored weights are damaged: train it again.")
    path.chmod(0o644)
    record = json.loads((folder / "build.json").read_text())
    record |= {
        "digest": weights.digest,
        "weights": f"{WEIGHTS}/{path.name}",
        "trained": {
            "name": weights.name,
            "sha256": weights.sha256,
            "origin": weights.origin,
            "training": weights.training,
        },
    }
    (folder / "build.json").write_text(json.dumps(record, indent=1))
    if record.get("kind") == "docker":
        version_image.share(record, digest=weights.digest)


def _make(
    version: Version, target: Path, log: Callable[[str], None], is_canceled: Callable[[], bool], bounds: BuildLimits
) -> None:
    recipe, weights = recipes.read(version)
    origin = version.trained_from or version
    staging = target.with_name(f".{target.name}.brought")
    sources = Path(settings.VAR) / "run" / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=sources) as folder:
            source = Path(folder) / "src"
            _unpack(origin, source)
            built = _load(recipe.kind)(
                source=source,
                target=staging,
                var=Path(settings.VAR),
                log=log,
                limits=bounds,
                is_canceled=is_canceled,
                salt=str(origin.model_id),
                again=recipe,
            )
        _require_same(built, origin.pk, weights, version.pk)
        if weights is not None:
            try:
                add_weights(folder=staging, weights=weights, stored=recipes.weights_path(version.pk))
            except OSError:
                raise BuildFailed("the stored weights are gone: train it again.") from None
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _load(kind: str) -> builders.Build:
    try:
        return builders.load(kind=kind)
    except KeyError:
        raise NoRecipe("what is kept of it for other hosts is damaged") from None


def _require_same(built: Built, origin_id: str, weights: Weights | None, version_id: str) -> None:
    if built.digest != origin_id or (weights.digest if weights else origin_id) != version_id:
        raise BuildFailed(
            f"what was built has the digest {built.digest[:12]} and not {origin_id[:12]}. Its publisher can publish "
            "the same folder again."
        )


def _unpack(version: Version, source: Path) -> None:
    """The version's sources, from whichever upload of them is whole. Raises NoRecipe, PackageError."""
    uploads = Build.objects.filter(version=version, status="succeeded").exclude(source_path="")
    damaged = False
    for path, sha256 in uploads.order_by("-created_at").values_list("source_path", "source_sha256"):
        try:
            with default_storage.open(path, "rb") as archive:
                if hashlib.file_digest(archive, "sha256").hexdigest() == sha256:
                    package.unpack(archive, source)
                    return
            logger.warning("archive_damaged", path=path, version=version.pk)
            damaged = True
        except FileNotFoundError:
            logger.warning("archive_gone", path=path, version=version.pk)
    why = "the stored archive of its sources is damaged" if damaged else "its sources are not stored"
    raise NoRecipe(f"{why}. Its publisher can publish the same folder again: it stays the same version.")
