"""Rate limits that providers tell of: kept before they are met, and waited for where there is nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson
import pytest

from marketplace.lib.errors import RateLimited
from marketplace.lib.pool import run
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from routing.services import chat
from routing.services.health import HEALTH
from routing.simulation.quota import Quota
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
CHEAP = {"prompt": "0.01", "completion": "0.01"}


async def asked(who: Buyer) -> str:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    done = await chat.complete(caller=who.caller, request=openai_chat.parse(orjson.dumps(body)))
    return done.chunk.text


async def test_a_limit_that_a_provider_tells_of_is_kept_without_being_met(simulate: Simulate, alice: Buyer) -> None:
    cheap, other = simulate("sim-cheap"), simulate("sim-other")
    cheap.simulator.quota = Quota(3, period=86_400)
    made = await run(endpoint, cheap.base_url, provider="sim-cheap", per_million=CHEAP)
    await run(endpoint, other.base_url, provider="sim-other")
    answers = [await asked(alice) for _ in range(5)]
    assert ["sim-cheap" in answer for answer in answers] == [True, True, True, False, False]
    assert (cheap.calls, other.calls) == (3, 2)
    rate = HEALTH.router.standing(made.pk).rate
    assert rate.most == 3
    assert rate.tokens < 1


async def test_anthropics_headers_are_heard(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(dialect="anthropic")
    sim.simulator.quota = Quota(50)
    made = await run(endpoint, sim.base_url, dialect="anthropic")
    await asked(alice)
    rate = HEALTH.router.standing(made.pk).rate
    assert rate.rate == pytest.approx(50 / 60)
    assert rate.most == 50


async def test_where_every_endpoint_is_full_a_request_waits_for_a_place(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    sim.order("429:2")
    await run(endpoint, sim.base_url)
    began = time.monotonic()
    with pytest.raises(RateLimited):
        await asked(alice)
    assert "simulated" in await asked(alice)
    assert time.monotonic() - began >= 2
    assert sim.calls == 2


async def test_what_waits_for_its_turn_leaves_an_endpoint_that_fails_meanwhile(
    simulate: Simulate, alice: Buyer
) -> None:
    cheap, other = simulate("sim-cheap"), simulate("sim-other")
    made = await run(endpoint, cheap.base_url, provider="sim-cheap", per_million=CHEAP)
    await run(endpoint, other.base_url, provider="sim-other", per_million={"prompt": "900", "completion": "900"})
    standing = HEALTH.router.standing(made.pk)
    standing.rate.seed(per_second=1.5, now=time.monotonic())
    HEALTH.reserve(made.pk)
    first = asyncio.create_task(asked(alice))
    async with asyncio.timeout(30):
        while standing.rate.tokens >= 0:  # until it waits for its place
            await asyncio.sleep(0.01)
    assert cheap.calls == other.calls == 0
    down = UpstreamError("x", kind="unavailable", retryable=True, status=503)
    for _ in range(3):
        HEALTH.failed(HEALTH.begin(made.pk, tokens=10), down)
    assert "sim-other" in await first
    assert (cheap.calls, other.calls) == (0, 1)
