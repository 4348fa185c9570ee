"""Boxes in an output, for drawing over the image that they were found in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

MAX_BOXES: Final = 500
_LABELS: Final = ("label", "name", "class", "text", "kind", "shape")
_SCORES: Final = ("confidence", "score", "probability")


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

    Understood are `box` or `bbox` as [left, top, right, bottom], and the members x, y, width, height or
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
    edges: tuple[Any, ...]
    if isinstance(place, list | tuple) and len(place) == 4:
        edges = tuple(place)
    elif isinstance(place, Mapping) and {"x", "y", "width", "height"} <= set(place):
        corner = (place["x"], place["y"])
        if not all(map(_is_number, (*corner, place["width"], place["height"]))):
            return None
        edges = (*corner, corner[0] + place["width"], corner[1] + place["height"])
    elif isinstance(place, Mapping) and {"left", "top", "right", "bottom"} <= set(place):
        edges = (place["left"], place["top"], place["right"], place["bottom"])
    else:
        return None
    if not all(map(_is_number, edges)):
        return None
    left, top, right, bottom = edges
    score = next((item[name] for name in _SCORES if _is_number(item.get(name))), None)
    label = next((str(item[name]) for name in _LABELS if isinstance(item.get(name), str)), "")
    return Box(label[:100], left, top, right - left, bottom - top, score)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e7
