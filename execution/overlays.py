"""Boxes in an output, for drawing over the image that they were found in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

MAX_BOXES: Final = 500
_LABELS: Final = ("label", "name", "class", "text", "kind", "shape")
_SCORES: Final = ("confidence", "score", "probability")
_SIZED: Final = ("x", "y", "width", "height")
_EDGES: Final = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels from the upper left corner, with what it shows."""

    label: str
    x: float
    y: float
    width: float
    height: float
    score: float | None = None


def boxes(output: Any) -> list[Box]:
    """The boxes of an output: a list of them, or the first such list in an object; empty when there is none.

    Understood are `box` or `bbox` as [x, y, width, height], and the members x, y, width, height or
    left, top, right, bottom on the item itself or under `box`.
    """
    if isinstance(output, Mapping):
        for value in output.values():
            if isinstance(value, list) and (found := boxes(value)):
                return found
        return []
    if not isinstance(output, list):
        return []
    found = [box for item in output[:MAX_BOXES] if isinstance(item, Mapping) and (box := _box(item)) is not None]
    return found if len(found) == len(output[:MAX_BOXES]) else []


def as_json(found: list[Box]) -> list[dict[str, Any]]:
    """For the page's script."""
    return [asdict(box) for box in found]


def _box(item: Mapping[str, Any]) -> Box | None:
    place = item.get("box", item.get("bbox", item))
    is_edges = False
    if isinstance(place, list | tuple):
        numbers = list(place)
    elif isinstance(place, Mapping) and set(_SIZED) <= set(place):
        numbers = [place[member] for member in _SIZED]
    elif isinstance(place, Mapping) and set(_EDGES) <= set(place):
        numbers, is_edges = [place[member] for member in _EDGES], True
    else:
        return None
    if len(numbers) != 4 or not all(map(_is_number, numbers)):
        return None
    x, y, width, height = numbers
    if is_edges:
        width, height = width - x, height - y
    score = next((item[name] for name in _SCORES if _is_number(item.get(name))), None)
    label = next((str(item[name]) for name in _LABELS if isinstance(item.get(name), str)), "")
    return Box(label[:100], x, y, width, height, score)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e7
