"""Percentiles and uptime by the minute and the half-hour."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.selection.history import History, Slot, bucket_of

NOW = 1_000_000_000.0


def test_uptime_is_the_share_of_good_calls_and_leaves_refusals_for_capacity_out() -> None:
    history = History()
    for slot in [Slot(good=1)] * 19 + [Slot(bad=1)] + [Slot(limited=1)] * 50:
        history.record(slot, now=NOW)
    seen = history.over(300, now=NOW + 10)
    assert seen.uptime == 95.0
    assert (seen.calls, seen.limited) == (70, 50)


def test_windows_end() -> None:
    history = History()
    history.record(Slot(bad=1), now=NOW)
    history.record(Slot(good=1), now=NOW + 1_200)
    assert history.over(300, now=NOW + 1_200).uptime == 100.0
    assert history.over(1_800, now=NOW + 1_200).uptime == 50.0
    assert history.over(86_400, now=NOW + 10 * 3_600).uptime == 50.0
    assert history.over(86_400, now=NOW + 30 * 3_600).uptime is None


def test_throughput_percentiles_name_what_most_calls_reach() -> None:
    history = History()
    for speed in range(1, 101):
        history.record(Slot(throughput={bucket_of(speed): 1}), now=NOW)
    seen = history.over(300, now=NOW).throughput
    assert seen[90] == pytest.approx(11, rel=0.06)
    assert seen[50] == pytest.approx(51, rel=0.06)


def test_a_day_has_48_bars_and_those_without_calls_are_empty() -> None:
    history = History()
    history.record(Slot(good=3, bad=1), now=NOW)
    bars = history.uptimes(now=NOW + 60)
    assert len(bars) == 48
    assert bars[-1][1] == 75.0
    assert all(uptime is None for _, uptime in bars[:-1])


@given(st.lists(st.floats(1, 100_000), min_size=1, max_size=60))
def test_a_percentile_is_within_four_percent_of_the_true_one(values: list[float]) -> None:
    history = History()
    for value in values:
        history.record(Slot(latency={bucket_of(value): 1}), now=NOW)
    seen = history.over(300, now=NOW).latency_s
    for percentile, found in seen.items():
        true = sorted(values)[math.ceil(len(values) * percentile / 100) - 1]
        assert found * 1000 == pytest.approx(true, rel=0.045)
