"""Whether tool calls can be used, and what becomes of an endpoint whose calls cannot."""

from __future__ import annotations

import pytest

from routing.canonical import ToolDelta
from routing.selection.cost import PRESETS
from routing.selection.router import Router
from routing.selection.toolcalls import MOST_CHARACTERS, ToolCalls
from tests.routing.selection.test_router import ONE, TWO, chosen, named, served


def calls(*deltas: tuple[int, str | None, str]) -> ToolCalls:
    made = ToolCalls()
    made.take(ToolDelta(index, None, name, arguments) for index, name, arguments in deltas)
    return made


@pytest.mark.parametrize(
    ("deltas", "verdict"),
    [
        ([], None),
        ([(0, "f", '{"a": 1}')], False),
        ([(0, "f", '{"a"'), (0, None, ": 1}")], False),
        ([(0, "f", "")], False),
        ([(0, "f", '{"a": 1')], True),
        ([(0, "f", "[1]")], True),
        ([(0, "f", "None")], True),
        ([(0, "other", "{}")], True),
        ([(0, None, "{}")], True),
        ([(0, "f", "{}"), (1, "g", "{")], True),
        ([(0, "f", "{}"), (1, "g", "{}")], False),
        ([(0, "f", "[" * 100_000)], True),
        ([(0, "f", "x" * (MOST_CHARACTERS + 1))], None),
    ],
)
def test_tool_calls_are_judged_once_they_are_whole(
    deltas: list[tuple[int, str | None, str]], verdict: bool | None
) -> None:
    assert calls(*deltas).are_malformed(offered={"f", "g"}) is verdict


def test_exacto_goes_where_tool_calls_are_sound_and_others_where_it_is_cheap() -> None:
    router = Router()
    for one in (ONE, TWO):
        served(router, one)
    for i in range(10):
        router.called_tools(1, malformed=i % 3 == 0, now=31.0)
        router.called_tools(2, malformed=False, now=31.0)
    cheap = named(1, "one", prompt=250)
    assert chosen(router, [cheap, TWO], weights=PRESETS["exacto"], tools=True) == "two"
    assert chosen(router, [cheap, TWO], weights=PRESETS["exacto"]) == "one"
    assert chosen(router, [cheap, TWO], tools=True) == "one"


def test_malformed_calls_are_remembered_for_longer_than_failures_and_not_for_ever() -> None:
    router = Router()
    for _ in range(5):
        router.called_tools(1, malformed=True, now=0.0)
    shares = [router.standing(1).tool_calls.failure_share(now) for now in (0.0, 600.0, 86_400.0)]
    assert shares[0] > 0.5
    assert shares[1] > 0.5
    assert shares[2] < 0.03
