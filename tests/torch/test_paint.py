"""examples/paint-torch, built and run for real."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.execution.workshop import EXAMPLES, Ran, Workshop, needs_walls, workshop, workshop_of_session

__all__ = ("workshop", "workshop_of_session")

pytestmark = [needs_walls, pytest.mark.timeout(1200)]


def test_the_painter_paints_with_torch_on_what_this_host_has(workshop: Workshop) -> None:
    instance = workshop.start(EXAMPLES / "paint-torch", setup_seconds=300)

    def paint(**given: int) -> Ran:
        done = Ran(instance, input={"width": 320, "height": 200, **given})
        assert done.end.status == "succeeded", done.end
        return done

    first, again, other = paint(seed=7), paint(seed=7), paint(seed=8)
    assert f"on {first.outputs[-1]['device']}" in first.logs
    [(_, content_type, picture)] = first.files
    assert (content_type, first.outputs[-1]["device"] in ("cuda", "cpu")) == ("image/png", True)
    assert picture == again.files[0][2] != other.files[0][2]
    with Image.open(io.BytesIO(picture)) as opened:
        assert (opened.format, opened.size, len(opened.getcolors(64_000) or []) > 1000) == ("PNG", (320, 200), True)
