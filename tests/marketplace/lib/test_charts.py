"""Stacked bars: what is drawn is what was given."""

from __future__ import annotations

import pytest

from marketplace.lib.charts import GAP, HEIGHT, WIDTH, Series, ceiling, stacked


def test_series_stand_on_each_other_and_reach_their_sum() -> None:
    bars = stacked(columns=["a", "b"], series=[Series("one", [30, 0]), Series("two", [20, 100])])
    assert bars.top == 100
    first, second, third = bars.segments
    assert (first.y, first.height) == (HEIGHT * 7 / 10, HEIGHT * 3 / 10)
    assert (second.y, second.height, second.column) == (HEIGHT / 2, HEIGHT / 5, "a")
    assert (third.series, third.y, third.height, third.column) == (1, 0, HEIGHT, "b")
    assert first.width == pytest.approx(WIDTH / 2 * (1 - GAP))
    assert third.x == pytest.approx(WIDTH / 2 * (1 + GAP / 2))


def test_nothing_and_less_than_nothing_take_no_room() -> None:
    bars = stacked(columns=["a"], series=[Series("one", [-5]), Series("two", [0])])
    assert (bars.segments, bars.top, bars.names) == ([], 2, ["one", "two"])
    assert stacked(columns=[], series=[]).labels == []


@pytest.mark.parametrize(("value", "top"), [(0, 2), (2, 2), (3, 5), (10, 10), (11, 20), (51_000, 100_000)])
def test_the_upper_edge_is_a_number_that_one_can_read(value: int, top: int) -> None:
    assert ceiling(value) == top


def test_few_columns_are_named_the_first_and_the_last_among_them() -> None:
    columns = [str(number) for number in range(30)]
    labels = stacked(columns=columns, series=[]).labels
    assert (labels[0], labels[-1], len(labels)) == ("0", "29", 5)
