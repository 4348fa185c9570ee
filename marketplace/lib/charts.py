"""Pictures made on the server: stacked bars as numbers for an SVG. Pure geometry; templates draw it.

The numbers are integers of any unit. A picture is an aid: what it shows stands in a table beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 180
GAP: Final = 0.22  # of a column's width
MOST_LABELS: Final = 5


@dataclass(frozen=True, slots=True)
class Series:
    """What one colour stands for, with its value in every column."""

    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A rectangle of the picture: a series' part of a column."""

    series: int
    name: str
    column: str
    value: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """A picture of stacked bars. `top` is the value at its upper edge, `labels` the columns that are named below."""

    top: int
    segments: Sequence[Segment]
    names: Sequence[str]
    labels: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> int:
        """The value half way up."""
        return self.top // 2


def stacked(*, columns: Sequence[str], series: Sequence[Series]) -> Bars:
    """Series on top of each other, column by column; what is not above zero takes no room."""
    sums = [sum(max(0, one.values[place]) for one in series) for place in range(len(columns))]
    top = ceiling(max(sums, default=0))
    step = WIDTH / max(1, len(columns))
    segments = []
    for place, column in enumerate(columns):
        below = 0
        for number, one in enumerate(series):
            value = one.values[place]
            if value <= 0:
                continue
            low, high = HEIGHT * below / top, HEIGHT * (below + value) / top
            segments.append(
                Segment(
                    series=number,
                    name=one.name,
                    column=column,
                    value=value,
                    x=round(step * (place + GAP / 2), 2),
                    y=round(HEIGHT - high, 2),
                    width=round(step * (1 - GAP), 2),
                    height=round(high - low, 2),
                )
            )
            below += value
    return Bars(top, segments, [one.name for one in series], _spread(columns))


def ceiling(value: int) -> int:
    """The least 1, 2 or 5 with noughts that is not below a value, so that a scale can be read; at least 2."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= max(2, value):
                return digit * power
        power *= 10


def _spread(columns: Sequence[str]) -> list[str]:
    """A few columns at even distances, the first and the last among them."""
    if len(columns) <= MOST_LABELS:
        return list(columns)
    last = len(columns) - 1
    return [columns[last * place // (MOST_LABELS - 1)] for place in range(MOST_LABELS)]
