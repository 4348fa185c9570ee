"""Each simulated dialect over real sockets: through the sender with every fault, and through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from openai import OpenAI

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import Chunk, UpstreamError
from routing.ingress import openai_chat
from routing.simulation.dialects import DIALECTS
from routing.upstream import Deadlines, Sender
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
HELLO: dict[str, Any] = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello there"}]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}},
}
LIMITS = Deadlines(connect=10, first_chunk=20, answer=20, idle=20, plain_bytes=1_000_000, stream_bytes=1_000_000)
SIGNED = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret", "region": "eu-central-1"}


async def ask(provider: Simulated, dialect: str, *, stream: bool, **fields: Any) -> list[Chunk]:
    adapter, sender = adapter_for(dialect), Sender(limits=LIMITS)
    credentials = SIGNED if dialect == "bedrock_converse" else {"api_key": "simulated"}
    target = Target(provider.base_url, "their-model", credentials)
    request = openai_chat.parse(orjson.dumps(HELLO | {"max_tokens": 50} | fields))
    sent = adapter.build(request, target=target, stream=stream, max_tokens=request.max_tokens)
    if not stream:
        return [await sender.send(sent, adapter=adapter)]
    opened = await sender.open_stream(sent, adapter=adapter)
    try:
        return [chunk async for batch in opened.chunks() for chunk in batch]
    finally:
        await opened.close()


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


# Names are resolved on the pool, whose threads look after the connections that earlier tests left in them.
@pytest.mark.django_db
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_plain_and_streamed_say_and_count_the_same(simulate: Simulate, dialect: str) -> None:
    provider = simulate(dialect=dialect)
    plain = await ask(provider, dialect, stream=False)
    streamed = await ask(provider, dialect, stream=True)
    assert text(plain) == text(streamed) != ""
    (usage,) = [chunk.usage for chunk in streamed if chunk.usage]
    assert plain[0].usage == usage
    assert (plain[0].finish_reason, usage.completion_tokens) == ("stop", 12)
    seen = provider.simulator.received[0].headers
    assert "given" in seen.values()
    assert ("x-amz-date" in seen) is (dialect == "bedrock_converse")
    capped = await ask(provider, dialect, stream=True, max_tokens=5)
    assert [chunk.finish_reason for chunk in capped if chunk.finish_reason] == ["length"]


FAULTS = {
    "500": "unavailable", "503": "unavailable", "400": "invalid", "401": "auth", "404": "not_found",
    "429:7": "rate_limited", "malformed": "malformed", "html": "malformed", "flood": "malformed",
    "redirect": "unavailable", "error:0": "unavailable", "cut:0": "cut", "empty": "malformed",
}  # fmt: skip
SHORT_STREAMS = {"html", "empty"}  # of these a stream cannot tell whether it was cut


@pytest.mark.django_db
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_fault_before_the_first_piece_is_understood(simulate: Simulate, dialect: str, stream: bool) -> None:
    provider = simulate(dialect=dialect)
    for fault, kind in FAULTS.items():
        provider.order(fault)
        with pytest.raises(UpstreamError) as caught:
            await ask(provider, dialect, stream=stream)
        kinds = {kind, "cut"} if stream and fault in SHORT_STREAMS else {kind}
        assert caught.value.kind in kinds, fault
        assert caught.value.retryable is (kind != "invalid"), fault
        assert caught.value.retry_after == (7 if fault == "429:7" else None), fault


@pytest.mark.django_db
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_break_in_the_middle_never_looks_like_an_end(simulate: Simulate, dialect: str) -> None:
    provider = simulate(dialect=dialect)
    for fault, kind in {"cut:4": "cut", "clip:4": "cut", "error:4": "unavailable"}.items():
        provider.order(fault)
        with pytest.raises(UpstreamError) as caught:
            await ask(provider, dialect, stream=True)
        assert caught.value.kind == kind, fault
    for fault in ("nousage", "badusage"):
        provider.order(fault)
        chunks = await ask(provider, dialect, stream=True)
        assert text(chunks)
        assert not [chunk.usage for chunk in chunks if chunk.usage], fault


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_chat_goes_through_the_gateway_to_each_dialect(
    gateway: str, simulate: Simulate, alice: Buyer, dialect: str
) -> None:
    provider = simulate(dialect=dialect)
    endpoint(provider.base_url, dialect=dialect, parameters=["tools", "max_tokens"])
    with OpenAI(base_url=f"{gateway}/api/v1", api_key=alice.key, max_retries=0, timeout=30) as opened:
        client: Any = opened
        plain = client.chat.completions.create(**HELLO)
        said = plain.choices[0].message.content
        assert "simulated" in (said or "")
        chunks = list(client.chat.completions.create(**HELLO, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == said
        assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens == 12
        for stream in (False, True):
            call = _call(client, stream=stream)
            assert (call["name"], json.loads(call["arguments"])) == ("look", {"place": "simulated"})
        turn = {"role": "assistant", "content": None, "tool_calls": [{
            "id": call["id"], "type": "function", "function": {"name": "look", "arguments": call["arguments"]},
        }]}  # fmt: skip
        messages = [*HELLO["messages"], turn, {"role": "tool", "tool_call_id": call["id"], "content": "4"}]
        after = client.chat.completions.create(model="acme/small", messages=messages, tools=[TOOL])
        assert after.choices[0].finish_reason == "stop"


def _call(client: Any, *, stream: bool) -> dict[str, str]:
    if not stream:
        (found,) = client.chat.completions.create(**HELLO, tools=[TOOL]).choices[0].message.tool_calls
        return {"id": found.id, "name": found.function.name, "arguments": found.function.arguments}
    call = {"id": "", "name": "", "arguments": ""}
    for chunk in client.chat.completions.create(**HELLO, tools=[TOOL], stream=True):
        for delta in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            call["id"] = delta.id or call["id"]
            call["name"] = delta.function.name or call["name"]
            call["arguments"] += delta.function.arguments or ""
    return call


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_fault_moves_on_and_a_break_is_one_error_event(
    gateway: str, simulate: Simulate, alice: Buyer, dialect: str
) -> None:
    first, second = simulate("sim-one", dialect=dialect), simulate("sim-two")
    prices = {"prompt": "0.01", "completion": "0.01"}
    endpoint(first.base_url, dialect=dialect, provider="sim-one", per_million=prices)
    endpoint(second.base_url, provider="sim-two")
    order = {"provider": {"order": ["sim-one"]}}
    headers = {"authorization": f"Bearer {alice.key}"}
    first.order("500", "cut:4")
    moved = httpx.post(f"{gateway}/api/v1/chat/completions", json=HELLO | order, headers=headers, timeout=30)
    assert (moved.status_code, moved.json()["provider"]) == (200, "Sim-Two")
    body = HELLO | order | {"stream": True}
    broken = httpx.post(f"{gateway}/api/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert (first.calls, second.calls) == (2, 1)
    assert broken.text.count('"finish_reason":"error"') + broken.text.count('"finish_reason": "error"') == 1
