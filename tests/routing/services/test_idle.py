"""Probes of idle endpoints: who is asked, who pays, what is learned, and how often at most."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Charge, LedgerAccount
from billing.services import balances
from marketplace.lib.errors import Unauthorized
from marketplace.lib.pool import run
from marketplace.models import Endpoint
from routing.models import Generation, Turn
from routing.selection.history import History, Slot
from routing.services import idle, metrics, turns
from routing.services.health import HEALTH
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


@pytest.fixture(autouse=True)
def _unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HEALTH, "histories", {})


@pytest.fixture
def house(alice: Buyer, settings: Any) -> Buyer:
    """Who pays for probes."""
    settings.IDLE_PROBE_KEY = alice.key
    return alice


def heard_of(made: Endpoint) -> int:
    """How many calls this process knows of."""
    found = HEALTH.summaries([made.pk], seconds=900)
    return found[made.pk].calls if made.pk in found else 0


def pass_on(minutes: float) -> None:
    """Let what was taken be due so much sooner."""
    for turn in Turn.objects.all():
        Turn.objects.filter(pk=turn.pk).update(due_at=turn.due_at - dt.timedelta(minutes=minutes))


def outcomes(outcome: str) -> float:
    """How many probes ended so."""
    return metrics.COUNTED.get_sample_value("turnpike_idle_probes_total", {"outcome": outcome}) or 0.0


async def test_who_is_idle_is_asked_for_a_word_at_the_houses_expense(simulate: Simulate, house: Buyer) -> None:
    sim = simulate()
    busy = await run(endpoint, sim.base_url)
    made = await run(endpoint, sim.base_url, upstream="second")
    HEALTH.histories[busy.pk] = History()
    HEALTH.histories[busy.pk].record(Slot(good=1), now=timezone.now().timestamp())
    before = outcomes("ok")
    assert await idle.probe_next() == "ok"
    assert (outcomes("ok"), heard_of(made)) == (before + 1, 1)
    assert [one.body["model"] for one in sim.simulator.received] == ["second"]  # not the other of this provider

    def look() -> None:
        row = Generation.objects.get()
        assert (row.account_id, row.endpoint_id, row.status) == (house.account.pk, made.pk, "finished")
        charge = Charge.objects.get()
        assert charge.account_id == house.account.pk
        assert 0 < charge.amount_nano < 100_000  # a hundredth of a cent
        owed = balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=made.provider.account_id)
        assert owed == charge.amount_nano * 9_500 // 10_000

    await run(look)
    await run(pass_on, 1)
    assert await idle.probe_next() is None  # both were heard of
    assert sim.calls == 1


async def test_a_silent_one_is_found_out_and_costs_nobody(simulate: Simulate, house: Buyer) -> None:
    sim = simulate()
    made = await run(endpoint, sim.base_url)
    sim.order("500", always=True)
    assert await idle.probe_next() == "failed"
    assert HEALTH.summaries([made.pk], seconds=900)[made.pk].uptime == 0
    assert await run(Charge.objects.count) == 0
    assert (await run(Generation.objects.get)).status == "failed"


async def test_one_at_a_time_and_no_more_often_than_said(simulate: Simulate, house: Buyer) -> None:
    sim = simulate(ttft=0.2)
    for name in ("first", "second", "third"):
        await run(endpoint, sim.base_url, upstream=name)
    done = await asyncio.gather(*(idle.probe_next() for _ in range(3)))
    assert sorted(done, key=str) == [None, None, "ok"]
    assert await idle.probe_next() is None  # the minute's share is used: six a minute are one every ten seconds
    due = await run(Turn.objects.get, name=idle.TURN)
    assert seconds_until(due.due_at) <= 10
    await run(pass_on, 0.2)
    assert await idle.probe_next() == "ok"
    assert [one.body["model"] for one in sim.simulator.received] == ["first", "second"]


def seconds_until(at: dt.datetime) -> float:
    return (at - timezone.now()).total_seconds()


async def test_what_the_key_does_not_pay_for_is_not_asked(simulate: Simulate, money: None, settings: Any) -> None:
    poor = await run(buyer, email="poor@example.com", dollars="0")
    settings.IDLE_PROBE_KEY = poor.key
    sim = simulate()
    await run(endpoint, sim.base_url)
    assert await idle.probe_next() == "refused"
    await run(pass_on, 1)
    assert await idle.probe_next() is None  # it waits its quarter of an hour all the same
    assert sim.calls == 0
    settings.IDLE_PROBE_KEY = "sk-none"
    with pytest.raises(Unauthorized):
        await idle.probe_next()


async def test_what_does_not_chat_is_asked_for_what_it_does_where_that_is_cheap(
    simulate: Simulate, house: Buyer
) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url, upstream="embed", output_modalities=["embeddings"])
    await run(endpoint, sim.base_url, upstream="draw", output_modalities=["image"])
    await run(endpoint, sim.base_url, upstream="hidden", is_active=False)
    await run(endpoint, sim.base_url, upstream="hosted", provider="hosted@1")
    assert await idle.probe_next() == "ok"
    await run(pass_on, 1)
    assert await idle.probe_next() is None
    assert [one.path for one in sim.simulator.received] == ["/v1/embeddings"]


async def test_without_a_key_there_are_no_probes(settings: Any) -> None:
    settings.IDLE_PROBE_KEY = ""
    await asyncio.wait_for(idle.run(), 20)


@pytest.mark.django_db
def test_a_turn_that_was_lost_meanwhile_is_not_given_back() -> None:
    now = timezone.now()
    later, last = now + dt.timedelta(minutes=1), now + dt.timedelta(minutes=2)
    assert turns.is_due("x", now=now)
    assert turns.take("x", now=now, until=later)
    assert not turns.take("x", now=now, until=last)
    assert turns.take("x", now=later, until=last)  # its time was over
    assert not turns.give_back("x", taken_until=later, due_at=now)
    assert turns.give_back("x", taken_until=last, due_at=now)
    assert turns.is_due("x", now=now)
