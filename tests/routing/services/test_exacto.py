"""`:exacto` learns from the tool calls that really came."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from marketplace.lib.pool import run
from routing.ingress import openai_chat
from routing.services import chat
from routing.services.health import HEALTH
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def asked(who: Buyer, *, stream: bool, **fields: object) -> None:
    body = {"model": "acme/small:exacto", "messages": [{"role": "user", "content": "Weather?"}], "tools": [WEATHER]}
    request = openai_chat.parse(orjson.dumps(body | {"max_tokens": 50, "stream": stream} | fields))
    if stream:
        opened = await chat.open_stream(caller=who.caller, request=request)
        async for _ in opened.events():
            continue
    else:
        await chat.complete(caller=who.caller, request=request)


@pytest.mark.parametrize("stream", [False, True])
async def test_malformed_tool_calls_are_counted_and_avoided(simulate: Simulate, alice: Buyer, stream: bool) -> None:
    sloppy, sound = simulate("sim-sloppy"), simulate("sim-sound")
    cheap = {"prompt": "0.01", "completion": "0.01"}
    made = await run(endpoint, sloppy.base_url, provider="sim-sloppy", per_million=cheap, parameters=["tools"])
    await run(endpoint, sound.base_url, provider="sim-sound", parameters=["tools"])
    sloppy.order("badtool", always=True)
    await asked(alice, stream=stream)
    assert (sloppy.calls, sound.calls) == (1, 0)
    assert HEALTH.router.standing(made.pk).tool_calls.failures == pytest.approx(1, rel=0.05)
    await asked(alice, stream=stream)
    assert (sloppy.calls, sound.calls) == (1, 1)


async def test_a_call_cut_short_by_the_callers_own_cap_blames_nobody(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    made = await run(endpoint, sim.base_url, parameters=["tools"])
    await asked(alice, stream=False, max_tokens=1)
    assert HEALTH.router.standing(made.pk).tool_calls.calls == 0
