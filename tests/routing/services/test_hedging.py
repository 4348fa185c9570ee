"""A second endpoint asked beside a slow first: who wins, what is charged, and when it is not done at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from billing.models import Charge, Hold
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.pool import run
from routing import upstream
from routing.canonical import UpstreamError
from routing.ingress.preferences import read_preferences
from routing.models import Attempt, EndpointDay, Generation
from routing.selection import deadlines
from routing.services import days, hedging, records
from routing.services.chat import open_stream
from routing.services.health import HEALTH
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.routing.services.test_chat import asked, streamed, text

Simulate = Callable[..., Simulated]
CHEAP = {"prompt": "0.01", "completion": "0.01"}
HEDGED = {"hedge": True}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a hedge can take a request away from a silent endpoint; it comes soon."""
    monkeypatch.setattr(upstream.SENDER, "limits", upstream.Deadlines(first_chunk=300))
    monkeypatch.setattr(deadlines, "LEAST", 300.0)
    monkeypatch.setattr(deadlines, "MOST", 300.0)
    monkeypatch.setattr(deadlines, "hedge_after", lambda **_: 0.2)


async def two(first: Simulated, second: Simulated) -> None:
    await run(endpoint, first.base_url, provider="sim-slow", per_million=CHEAP)
    await run(endpoint, second.base_url, provider="sim-good")


def outcomes() -> list[tuple[str, str]]:
    return list(Attempt.objects.values_list("provider_name", "error_kind"))


async def test_the_faster_of_two_answers_and_alone_is_charged(simulate: Simulate, alice: Buyer) -> None:
    slow, good = simulate("sim-slow"), simulate("sim-good")
    await two(slow, good)
    slow.order("hang", always=True)
    assert "sim-good" in text(await streamed(alice, provider=HEDGED))
    assert (slow.calls, good.calls) == (1, 1)

    def look() -> None:
        row = Generation.objects.get()
        assert row.provider is not None
        assert (row.status, row.provider.slug) == ("finished", "sim-good")
        assert outcomes() == [("Sim-Slow", Attempt.OUTRUN), ("Sim-Good", "")]
        assert "Slower" in records.reason(Attempt.objects.get(position=0))
        assert Charge.objects.count() == 1
        assert Hold.objects.get().state != Hold.State.OPEN
        days.count()
        assert dict(EndpointDay.objects.values_list("endpoint__provider__slug", "bad")).get("sim-slow", 0) == 0

    await run(look)
    assert all(one.in_flight == 0 for one in HEALTH.router.standings.values())


async def test_the_first_wins_where_the_second_fails(simulate: Simulate, alice: Buyer) -> None:
    slow, bad = simulate("sim-slow", ttft=1.0), simulate("sim-good")
    await two(slow, bad)
    bad.order("500", always=True)
    assert "sim-slow" in text(await streamed(alice, provider=HEDGED))
    assert await run(outcomes) == [("Sim-Good", "unavailable"), ("Sim-Slow", "")]


async def test_where_both_fail_the_rest_is_tried(simulate: Simulate, alice: Buyer) -> None:
    slow, bad, third = simulate("sim-slow"), simulate("sim-good"), simulate("sim-third")
    await two(slow, bad)
    await run(endpoint, third.base_url, provider="sim-third", per_million={"prompt": "90", "completion": "90"})
    slow.order("500", always=True)
    bad.order("500", always=True)
    assert "sim-third" in text(await streamed(alice, provider=HEDGED))


@pytest.mark.parametrize(
    "fields", [{}, {"provider": {"hedge": True, "order": ["sim-slow"]}}, {"provider": {"hedge": False}}]
)
async def test_nothing_is_hedged_unasked_or_against_an_own_order(
    simulate: Simulate, alice: Buyer, fields: dict[str, Any]
) -> None:
    slow, good = simulate("sim-slow", ttft=0.8), simulate("sim-good")
    await two(slow, good)
    assert "sim-slow" in text(await streamed(alice, **fields))
    assert good.calls == 0


async def test_the_budget_bounds_how_often(simulate: Simulate, alice: Buyer) -> None:
    slow, good = simulate("sim-slow", ttft=0.8), simulate("sim-good")
    await two(slow, good)
    while HEALTH.may_hedge():
        assert HEALTH.router.hedges.tokens >= 0
    assert "sim-slow" in text(await streamed(alice, provider=HEDGED))
    assert good.calls == 0


async def test_a_caller_that_leaves_during_it_leaves_nothing_behind(simulate: Simulate, alice: Buyer) -> None:
    slow, good = simulate("sim-slow"), simulate("sim-good")
    await two(slow, good)
    slow.order("hang", always=True)
    good.order("hang", always=True)
    asking = asyncio.ensure_future(open_stream(caller=alice.caller, request=asked(stream=True, provider=HEDGED)))
    async with asyncio.timeout(60):
        while not good.calls:
            await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await run(lambda: Hold.objects.get().state) == Hold.State.RELEASED
    assert all(one.in_flight == 0 for one in HEALTH.router.standings.values())


async def test_of_two_that_answer_at_once_one_is_taken_and_the_other_let_go() -> None:
    both, let_go, winners = asyncio.Event(), list[str](), list[str]()

    async def ask(name: str) -> str:
        await both.wait()
        winners.append(name)
        return name

    async def drop(name: str) -> None:
        let_go.append(name)

    def second() -> str:
        asyncio.get_running_loop().call_later(0.01, both.set)
        return "second"

    found = await hedging.first_of(
        ask, "first", after=0.0, second=second, is_winner=lambda name: name == winners[0], let_go=drop
    )
    assert found == winners[0]
    assert let_go == winners[1:]
    assert len(winners) == 2


async def test_the_last_error_is_raised_where_none_answers() -> None:
    async def ask(name: str) -> str:
        raise UpstreamError(name, kind="unavailable", retryable=True)

    async def drop(name: str) -> None:
        raise AssertionError(name)

    with pytest.raises(UpstreamError, match="first"):
        await hedging.first_of(ask, "first", after=1.0, second=lambda: None, is_winner=lambda _: True, let_go=drop)


def test_the_wish_is_read() -> None:
    assert read_preferences({"hedge": True}).hedge
    assert not read_preferences({}).hedge
    with pytest.raises(InvalidRequest, match=r"provider\.hedge"):
        read_preferences({"hedge": "often"})
