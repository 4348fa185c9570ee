"""What a training brings: its weights, beside the code that was trained, are a new version of its destination.

The version has a build folder of its own, with the trainer's files as links and the weights as a copy, so that each of
the two can be deleted without the other. Its row appears in the transaction that ends the training.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.core.files.storage import default_storage

from execution import schema, training
from execution.builders import version_image
from execution.models import File, Prediction
from execution.runtimes.door import safe_name
from execution.services import builds, files
from marketplace.lib.errors import Unprocessable
from marketplace.models import Model, Version

FOLDER: Final = "weights"
_PIECE: Final = 1024 * 1024


class NoWeights(Unprocessable):
    """422: the training ended well and brought nothing that a version could be made of."""


@dataclass(frozen=True, slots=True)
class Fruit:
    """A version that is ready on disk and has no row yet. `output` is what the training shows."""

    version: Version
    output: dict[str, Any]

    def publish(self) -> None:
        """Write the version's row; in the transaction that ends the training."""
        self.version.save(force_insert=True)
        into, out = schema.modalities(self.version.openapi_schema)
        Model.objects.filter(pk=self.version.model_id).update(input_modalities=into, output_modalities=out)

    def discard(self) -> None:
        """The training was ended by somebody else meanwhile: nothing stays."""
        builds.discard(builds.folder(self.version.build_path))


def pick(row: Prediction, output: Any) -> Fruit:
    """Make the version's files out of a training's output. Raises NoWeights.

    Blocks for as long as copying the weights takes; the row itself is not changed.
    """
    destination, origin = row.destination, row.version
    assert destination is not None  # noqa: S101  the table demands it of a training
    file = _weights(row, output)
    # Of this training alone: the same data trained twice are two versions, as their owner sees two trainings.
    digest = hashlib.sha256("\n".join(("trained", origin.pk, file.sha256, row.pk)).encode()).hexdigest()
    target = builds.folder(f"{row.pk}-{row.fence}")
    try:
        _fill(target, builds.folder(origin.build_path), file, digest)
    except BaseException:
        builds.discard(target)
        raise
    version = Version(
        id=digest,
        model=destination,
        trained_from=origin.trained_from or origin,
        cog_version=origin.cog_version,
        openapi_schema=origin.openapi_schema,
        build_path=target.name,
        size_bytes=origin.size_bytes + file.size,
    )
    return Fruit(version=version, output=training.shown(output, version=f"{destination.full_slug}:{digest}"))


def _weights(row: Prediction, output: Any) -> File:
    mark = training.weights_in(output)
    file = File.objects.filter(prediction=row, pk=mark.removeprefix(files.SCHEME)).first()
    if file is None:
        raise NoWeights(
            "The training returned no weights file: its train function must return a cog.Path to one, "
            "or a BaseModel whose `weights` is such a Path."
        )
    return file


def _fill(target: Path, origin: Path, file: File, digest: str) -> None:
    """The trainer's sources, the weights, and a record that names both."""
    shutil.rmtree(target, ignore_errors=True)  # of an earlier try of the same attempt
    shutil.copytree(origin / "src", target / "src", copy_function=os.link)
    (target / FOLDER).mkdir()
    path = target / FOLDER / safe_name(file.name)
    with default_storage.open(file.path, "rb") as source, path.open("wb") as out:
        shutil.copyfileobj(source, out, _PIECE)
    path.chmod(0o644)
    record = json.loads((origin / "build.json").read_text())
    record |= {"digest": digest, "weights": f"{FOLDER}/{path.name}"}
    (target / "build.json").write_text(json.dumps(record, indent=1))
    if record.get("kind") == "docker":
        version_image.share(record, digest=digest)
