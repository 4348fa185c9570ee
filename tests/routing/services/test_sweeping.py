"""Checkpoints and the sweeper: what a dead process leaves is ended once, from what was written last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from billing.models import Charge, Hold, Wallet
from marketplace.lib.pool import run
from routing import tasks
from routing.models import Generation
from routing.services import chat, sweeping
from routing.services.checkpoints import CHECKPOINTS
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.routing.services.test_chat import asked, text

Simulate = Callable[..., Simulated]
LATER = dt.timedelta(seconds=16)


async def running_stream(simulate: Simulate, who: Buyer, pieces: int) -> tuple[chat.ChatStream, Any, list[Any]]:
    """A stream that has delivered some pieces, checkpointed, and then hangs."""
    sim = simulate(tokens=500, tps=100)
    await run(endpoint, sim.base_url)
    sim.order(f"stall:{pieces + 2}")
    stream = await chat.open_stream(caller=who.caller, request=asked(stream=True, max_tokens=500))
    events = stream.events()
    got = [await anext(events) for _ in range(pieces)]
    await CHECKPOINTS.flush()
    return stream, events, got


async def test_a_dead_process_stream_is_charged_for_what_was_delivered(simulate: Simulate, alice: Buyer) -> None:
    _, events, got = await running_stream(simulate, alice, 6)
    row = await run(Generation.objects.get)
    assert row.status == "streaming"
    assert row.delivered_bytes == len(text(got).encode()) > 0
    assert await run(sweeping.sweep) == 0  # it still breathes
    assert await run(sweeping.sweep, now=timezone.now() + LATER) == 1
    assert await run(sweeping.sweep, now=timezone.now() + LATER) == 0

    def look() -> None:
        swept = Generation.objects.get()
        assert (swept.status, swept.usage_source) == ("swept", "counted")
        assert swept.completion_tokens == -(-row.delivered_bytes // 4)
        charge = Charge.objects.get()
        assert charge.amount_nano == swept.cost_nano > 0
        assert sum(share["amount_nano"] for share in charge.shares) == charge.amount_nano

    await run(look)
    # The process was only slow: what it does now changes nothing, and it stops delivering.
    await CHECKPOINTS.flush()
    ended = [event async for event in events]
    assert isinstance(ended[-1], chat.Broken)
    await run(look)


async def test_a_dead_process_call_that_delivered_nothing_is_released(simulate: Simulate, alice: Buyer) -> None:
    _, events, _ = await running_stream(simulate, alice, 1)

    def forget() -> None:
        Generation.objects.update(delivered_bytes=0, status="started")

    await run(forget)
    assert await run(sweeping.sweep, now=timezone.now() + LATER) == 1

    def look() -> None:
        assert Generation.objects.get().status == "swept"
        assert Hold.objects.get().state == Hold.State.RELEASED
        assert Wallet.objects.get(account=alice.account).held_nano == 0
        assert not Charge.objects.exists()

    await run(look)
    await events.aclose()
    await run(look)


async def test_two_sweepers_end_it_once(simulate: Simulate, alice: Buyer) -> None:
    _, events, _ = await running_stream(simulate, alice, 6)
    later = timezone.now() + LATER

    def sweep_twice() -> None:
        def one(_: int) -> None:
            try:
                sweeping.sweep(now=later)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(one, range(2)))

    await run(sweep_twice)
    assert await run(Charge.objects.count) == 1
    await events.aclose()
    assert await run(Charge.objects.count) == 1


async def test_a_row_whose_money_was_already_seen_to_is_closed(simulate: Simulate, alice: Buyer) -> None:
    _, events, _ = await running_stream(simulate, alice, 6)
    await events.aclose()

    def revive() -> None:
        Generation.objects.update(status="streaming", heartbeat_at=timezone.now() - LATER)

    await run(revive)
    assert await run(sweeping.sweep) == 1
    assert await run(Charge.objects.count) == 1
    assert (await run(Generation.objects.get)).status == "swept"


@pytest.mark.django_db
def test_the_task_sweeps_and_tolerates_what_it_does_not_know() -> None:
    tasks.sweep(reason="later version")
