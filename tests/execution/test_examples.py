"""The examples do what their READMEs say, on the pictures that come with them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.execution.workshop import EXAMPLES, Ran, Workshop, needs_walls, workshop, workshop_of_session

__all__ = ("workshop", "workshop_of_session")

pytestmark = [needs_walls, pytest.mark.timeout(240)]


def ran(workshop: Workshop, example: str, picture: Path, **given: Any) -> Ran:
    """One run of the example on a picture."""
    instance = workshop.start(EXAMPLES / example)
    name = f"input-file:0/{picture.name}"
    return Ran(instance, input={"image": name, **given}, files={name: picture})


def test_the_drawn_face_is_found_where_it_was_drawn(workshop: Workshop) -> None:
    done = ran(workshop, "detect-faces", EXAMPLES / "detect-faces" / "sample.png")
    assert done.end.status == "succeeded", done.end
    [face] = done.outputs[-1]["boxes"]
    x, y, width, height = face["box"]
    assert x < 202 < 278 < x + width  # both eyes
    assert y < 230 < 322 < y + height  # eyes and mouth
    assert 0.5 < face["confidence"] <= 1


def test_shapes_are_no_faces(workshop: Workshop) -> None:
    done = ran(workshop, "detect-faces", EXAMPLES / "detect-shapes" / "sample.png")
    assert done.outputs[-1]["boxes"] == []


def test_the_square_is_cut_out_of_its_surroundings(workshop: Workshop) -> None:
    picture = EXAMPLES / "segment-grabcut" / "sample.png"
    done = ran(workshop, "segment-grabcut", picture, x=160, y=30, width=120, height=120)
    assert done.end.status == "succeeded", done.end
    cut = done.outputs[-1]
    assert all(abs(found - drawn) <= 1 for found, drawn in zip(cut["box"], (170, 40, 100, 100), strict=True))
    files = {name: content for name, _, content in done.files}
    with Image.open(io.BytesIO(files[cut["mask"].removeprefix("kept:")])) as mask:
        white = {(x, y) for x in range(mask.width) for y in range(mask.height) if mask.getpixel((x, y))}
    square = {(x, y) for x in range(170, 270) for y in range(40, 140)}
    assert len(white & square) / len(white | square) > 0.97


def test_a_box_that_leaves_the_picture_is_told_so(workshop: Workshop) -> None:
    picture = EXAMPLES / "segment-grabcut" / "sample.png"
    done = ran(workshop, "segment-grabcut", picture, x=400, y=30, width=120, height=120)
    assert (done.end.status, "480 x 320" in done.end.error) == ("failed", True)
