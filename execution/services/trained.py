"""What a training brings: its weights, beside the code that was trained, are a new version of its destination.

The version has a build folder of its own, with the trainer's files as links and the weights as a copy, so that each of
the two can be deleted without the other. Its row appears in the transaction that ends the training.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from execution import schema, training
from execution.models import File, Prediction
from execution.services import builds, copies, files, recipes
from execution.services.recipes import Weights
from marketplace.lib.errors import Unprocessable
from marketplace.models import Model, Version


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

    def keep(self) -> None:
        """Keep what other hosts need to make the version's build; once its row is there."""
        recipes.keep(self.version)

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
    weights = Weights(name=file.name, sha256=file.sha256, origin=origin.pk, training=row.pk)
    target = builds.folder(f"{row.pk}-{row.fence}")
    try:
        _fill(target, builds.folder(origin.build_path), weights, file.path)
    except BaseException:
        builds.discard(target)
        raise
    version = Version(
        id=weights.digest,
        model=destination,
        trained_from=origin.trained_from or origin,
        cog_version=origin.cog_version,
        openapi_schema=origin.openapi_schema,
        build_path=target.name,
        size_bytes=origin.size_bytes + file.size,
    )
    return Fruit(version=version, output=training.shown(output, version=f"{destination.full_slug}:{version.pk}"))


def _weights(row: Prediction, output: Any) -> File:
    mark = training.weights_in(output)
    file = File.objects.filter(prediction=row, pk=mark.removeprefix(files.SCHEME)).first()
    if file is None:
        raise NoWeights(
            "The training returned no weights file: its train function must return a cog.Path to one, "
            "or a BaseModel whose `weights` is such a Path."
        )
    return file


def _fill(target: Path, origin: Path, weights: Weights, stored: str) -> None:
    """The trainer's sources, the weights, and a record that names both."""
    shutil.rmtree(target, ignore_errors=True)  # of an earlier try of the same attempt
    shutil.copytree(origin / "src", target / "src", copy_function=os.link)
    shutil.copy(origin / "build.json", target / "build.json")
    copies.add_weights(folder=target, weights=weights, stored=stored)
