from typing import Any

import pytest

from execution import overlays
from execution.overlays import Box


@pytest.mark.parametrize(
    "item",
    [
        {"label": "circle", "box": [10, 20, 30, 40]},
        {"name": "circle", "bbox": [10, 20, 30, 40]},
        {"label": "circle", "x": 10, "y": 20, "width": 30, "height": 40},
        {"label": "circle", "box": {"x": 10, "y": 20, "width": 30, "height": 40}},
        {"class": "circle", "left": 10, "top": 20, "right": 40, "bottom": 60},
    ],
)
def test_usual_spellings_of_a_box(item: dict[str, Any]) -> None:
    expected = [Box("circle", 10, 20, 30, 40)]
    assert overlays.boxes([item]) == expected
    assert overlays.boxes({"count": 1, "shapes": [item]}) == expected


def test_a_score_is_kept() -> None:
    assert overlays.boxes([{"label": "a", "box": [0, 0, 1, 1], "confidence": 0.5}])[0].score == 0.5


@pytest.mark.parametrize(
    "output",
    [
        None,
        "text",
        [],
        {},
        [1, 2],
        [{"box": [1, 2, 3]}],
        [{"box": ["a", 0, 0, 0]}],
        [{"x": 1, "y": 2, "width": "3", "height": 4}],
        [{"box": [0, 0, 1, 1]}, {"label": "no box"}],
        [{"box": [True, 0, 0, 0]}],
        [{"box": [1e99, 0, 0, 0]}],
    ],
)
def test_anything_else_has_none(output: Any) -> None:
    assert overlays.boxes(output) == []
