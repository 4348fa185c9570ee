"""Prices under conditions: what holds when, what the dearest can be, which tables contradict themselves."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import tariffs
from marketplace.lib.tariffs import Condition

LONG = {"prompt": 100, "prompt>200000": 200, "prompt>500000": 150, "completion": 400}
NIGHT = {"prompt": 100, "prompt@1630-0030": 40, "prompt>200000": 300, "prompt@1630-0030>200000": 120}

CLOCKS = st.integers(0, 23).flatmap(lambda hour: st.sampled_from([hour * 100, hour * 100 + 30]))
WINDOWS = st.tuples(CLOCKS, CLOCKS).filter(lambda window: window[0] != window[1])
CONDITIONS = st.builds(Condition, st.sampled_from([0, 1000, 200_000]), st.none() | WINDOWS)
TABLES = st.dictionaries(
    st.builds(tariffs.key_of, st.sampled_from(["prompt", "completion"]), CONDITIONS), st.integers(0, 10**12), max_size=6
).map(lambda table: {"prompt": 7, "completion": 9} | table)
MINUTES = st.integers(0, tariffs.MINUTES - 1)


@pytest.mark.parametrize(
    ("table", "tokens", "clock", "price"),
    [
        (LONG, 200_000, "12:00", 100),  # strictly above
        (LONG, 200_001, "12:00", 200),
        (LONG, 500_001, "12:00", 150),  # the higher threshold counts, also where it is cheaper
        (NIGHT, 10, "16:29", 100),
        (NIGHT, 10, "16:30", 40),
        (NIGHT, 10, "00:29", 40),  # over midnight
        (NIGHT, 10, "00:30", 100),
        (NIGHT, 300_000, "12:00", 300),
        (NIGHT, 300_000, "23:00", 120),
    ],
)
def test_what_holds_for_a_request(table: dict[str, int], tokens: int, clock: str, price: int) -> None:
    minute = tariffs.minute_of(dt.datetime.fromisoformat(f"2026-11-24T{clock}:59+00:00"))
    assert tariffs.applicable(table, prompt_tokens=tokens, minute=minute)["prompt"] == price


def test_a_table_without_conditions_comes_back_as_it_is() -> None:
    table = {"prompt": 1, "cached_read": 2}
    assert tariffs.applicable(table, prompt_tokens=10**6, minute=3) is table
    assert tariffs.dearest(table, prompt_tokens=10**6) is table


@given(TABLES, st.integers(0, 400_000), st.integers(0, 400_000), MINUTES)
def test_nothing_that_can_apply_is_dearer_than_the_dearest(
    table: dict[str, int], bound: int, tokens: int, minute: int
) -> None:
    most = tariffs.dearest(table, prompt_tokens=bound)
    applied = tariffs.applicable(table, prompt_tokens=min(tokens, bound), minute=minute)
    assert applied.keys() == {"prompt", "completion"}
    assert all(nano <= most[unit] for unit, nano in applied.items())


@given(TABLES, st.integers(0, 400_000), MINUTES)
def test_the_overrides_in_the_references_order_say_the_same(table: dict[str, int], tokens: int, minute: int) -> None:
    if tariffs.contradictions(table):
        return
    found = tariffs.plain(table)
    for condition, prices in tariffs.overrides(table):  # later entries win
        if condition.holds(prompt_tokens=tokens, minute=minute):
            found |= prices
    assert found == tariffs.applicable(table, prompt_tokens=tokens, minute=minute)


@given(TABLES, st.integers(0, 400_000), MINUTES)
def test_every_request_is_in_one_of_the_situations(table: dict[str, int], tokens: int, minute: int) -> None:
    known = [tariffs.applicable(table, prompt_tokens=t, minute=m) for t, m in tariffs.situations(table)]
    assert tariffs.applicable(table, prompt_tokens=tokens, minute=minute) in known


@given(st.sampled_from(["prompt", "cached_write_1h"]), CONDITIONS)
def test_keys_are_read_as_they_are_written(unit: str, condition: Condition) -> None:
    assert tariffs.parse(tariffs.key_of(unit, condition)) == (unit, condition)


WRONG = ["prompt>", "prompt>0", "prompt>99999999", "prompt@1-2", "prompt@1200-1200", "p@2400-0100", "p@0061-0100", "Up"]


@pytest.mark.parametrize("key", WRONG)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"no price key|a window goes|a threshold is"):
        tariffs.parse(key)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["prompt>5"], "name the price that holds otherwise"),
        (["prompt", "prompt@0000-1200", "prompt@1100-1300"], "two prices hold at once"),
        (["prompt", "prompt@2300-0100", "prompt@0030-0200"], "two prices hold at once"),
    ],
)
def test_contradictions_are_told(keys: list[str], said: str) -> None:
    assert said in "; ".join(tariffs.contradictions(keys))


def test_windows_side_by_side_are_no_contradiction() -> None:
    assert tariffs.contradictions(["prompt", "prompt@0000-1200", "prompt@1200-0000", "prompt@0000-1200>5"]) == []
    assert tariffs.fills_the_day([(0, 1200), (1200, 0)])
    assert not tariffs.fills_the_day([(0, 1200), (1230, 0)])
