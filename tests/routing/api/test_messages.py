"""POST /api/v1/messages over a real socket, with the official client and with bad input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic

from billing.models import Charge, Hold
from marketplace.models import ApiKey
from routing.models import Generation
from routing.services import chat
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
PATHS = ["/api/v1/messages", "/v1/messages"]
HELLO: dict[str, Any] = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Tell me something"}],
    "max_tokens": 50,
}
TOOL: dict[str, Any] = {"name": "look", "description": "Look", "input_schema": {"type": "object", "properties": {}}}

OPEN: list[Anthropic] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def client_of(gateway: str, who: Buyer | str) -> Anthropic:
    key = who if isinstance(who, str) else who.key
    OPEN.append(Anthropic(base_url=f"{gateway}/api", api_key=key, max_retries=0, timeout=30))
    return OPEN[-1]


def post(gateway: str, who: Buyer | None, body: Any, path: str = PATHS[0], **headers: str) -> httpx.Response:
    if who and not headers:
        headers = {"x-api-key": who.key, "anthropic-version": "2023-06-01"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(gateway + path, content=content, headers=headers, timeout=30)


def events_of(text: str) -> list[dict[str, Any]]:
    """The stream's data, checked that each event is named as its type."""
    found = []
    for event in text.strip().split("\n\n"):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def until(condition: Callable[[], Any], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_a_message_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, HELLO)
    assert answer.status_code == 200
    body = answer.json()
    assert body["id"] == answer.headers["x-generation-id"]
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "acme/small")
    assert body["provider"] == "Sim-One"
    assert body["content"][0]["type"] == "text"
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    usage, charge = body["usage"], Charge.objects.get()
    assert usage["cost"] * 1e9 == pytest.approx(charge.amount_nano)
    generation = Generation.objects.get()
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == generation.prompt_tokens
    assert usage["output_tokens"] == generation.completion_tokens
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("style", ["x-api-key", "bearer"])
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", None])
def test_both_ways_to_send_the_key_and_every_version(
    gateway: str, simulate: Simulate, alice: Buyer, path: str, style: str, version: str | None
) -> None:
    endpoint(simulate().base_url)
    headers = {"x-api-key": alice.key} if style == "x-api-key" else {"authorization": f"Bearer {alice.key}"}
    if version:
        headers["anthropic-version"] = version
    assert post(gateway, None, HELLO, path + "?beta=true", **headers).status_code == 200


def test_a_version_that_can_be_none_is_refused(gateway: str, alice: Buyer) -> None:
    answer = post(gateway, None, HELLO, **{"x-api-key": alice.key, "anthropic-version": "newest"})
    assert answer.status_code == 400
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_the_official_client_plain_and_streamed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    client = client_of(gateway, alice)
    plain = client.messages.create(**HELLO, system="Be brief")
    text, cost = "", None
    with client.messages.stream(**HELLO, system="Be brief") as stream:
        for event in stream:
            if event.type == "text":
                text += event.text
            elif event.type == "message_delta":
                cost = (event.usage.model_extra or {}).get("cost")
        final = stream.get_final_message()
    assert text == plain.content[0].text == final.content[0].text  # type: ignore[union-attr]
    assert "simulated" in text
    assert (plain.stop_reason, final.stop_reason) == ("end_turn", "end_turn")
    assert final.usage.output_tokens == plain.usage.output_tokens > 0
    assert final.usage.input_tokens == plain.usage.input_tokens > 0
    assert cost == (plain.usage.model_extra or {})["cost"] > 0
    assert final.id != plain.id


def test_a_stream_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, HELLO | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream"
    events = events_of(answer.text)
    kinds = [event["type"] for event in events if event["type"] != "content_block_delta"]
    assert kinds == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert events[0]["message"]["id"] == answer.headers["x-generation-id"]
    assert events[0]["message"]["content"] == []
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert [event["usage"]["cost"] for event in events if "usage" in event] == [events[-2]["usage"]["cost"]]
    assert events[-2]["usage"]["cost"] * 1e9 == pytest.approx(Charge.objects.get().amount_nano)


def test_chat_and_messages_cost_the_same(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    headers = {"authorization": f"Bearer {alice.key}"}
    assert post(gateway, None, HELLO, **headers).status_code == 200
    assert post(gateway, None, HELLO, "/api/v1/chat/completions", **headers).status_code == 200
    first, second = Charge.objects.values_list("amount_nano", "quantities")
    assert first == second


def test_tools_plain_and_streamed_and_their_results(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url, parameters=["tools", "tool_choice"])
    client: Any = client_of(gateway, alice)
    plain = client.messages.create(**HELLO, tools=[TOOL])
    assert plain.stop_reason == "tool_use"
    call = plain.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "look", {})
    with client.messages.stream(**HELLO, tools=[TOOL]) as stream:
        final = stream.get_final_message()
    assert (final.content[-1].name, final.content[-1].input) == ("look", {})
    turns = [
        *HELLO["messages"],
        {"role": "assistant", "content": [block.model_dump() for block in plain.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "a tree"}]},
    ]
    after = client.messages.create(**HELLO | {"messages": turns}, tools=[TOOL], tool_choice={"type": "none"})
    assert after.stop_reason == "end_turn"
    sent = sim.simulator.received[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[2] == {"role": "tool", "tool_call_id": call.id, "content": "a tree"}


def test_tokens_are_counted_free_of_charge(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    client = client_of(gateway, alice)
    asked = {name: value for name, value in HELLO.items() if name != "max_tokens"}
    short = client.messages.count_tokens(**asked).input_tokens
    long = client.messages.count_tokens(**asked, system="Be brief. " * 100).input_tokens
    assert 0 < short < long
    assert (long - short) * 4 == pytest.approx(1_000, rel=0.05)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.count_tokens(**asked | {"model": "acme/none"})
    assert sim.calls == Hold.objects.count() == Generation.objects.count() == 0


BAD: list[tuple[Any, int, str, str]] = [
    (b"{", 400, "invalid_request_error", "not valid JSON"),
    (b"[]", 400, "invalid_request_error", "JSON object"),
    ({**HELLO, "messages": []}, 400, "invalid_request_error", "at least one message"),
    ({**HELLO, "messages": [{"role": "assistant", "content": "Hi"}]}, 400, "invalid_request_error", '"user"'),
    ({**HELLO, "temperature": 9}, 400, "invalid_request_error", "temperature"),
    ({**HELLO, "plugins": [{"id": "web"}]}, 400, "invalid_request_error", "plugins[0].id"),
    ({**HELLO, "model": "acme/none"}, 400, "invalid_request_error", "acme/none"),
    ({**HELLO, "model": None}, 400, "invalid_request_error", "model"),
    ({**HELLO, "provider": {"only": ["nobody"]}}, 404, "not_found_error", "provider.only"),
    ({**HELLO, "max_tokens": 1_000_000}, 400, "invalid_request_error", "at most 2048"),
    ({**HELLO, "system": "word " * 50_000}, 400, "invalid_request_error", "prompt is too long"),
    (
        {**HELLO, "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
        400,
        "invalid_request_error",
        "without a tool_use",
    ),
]


@pytest.mark.parametrize(("body", "status", "kind", "words"), BAD)
def test_bad_input_gets_the_dialects_own_envelope(
    gateway: str, simulate: Simulate, alice: Buyer, body: Any, status: int, kind: str, words: str
) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, body)
    said = answer.json()
    assert (answer.status_code, said["type"], said["error"]["type"]) == (status, "error", kind)
    assert words in said["error"]["message"]
    assert said["error"]["error_type"] in (
        "invalid_request",
        "not_found",
        "max_tokens_exceeded",
        "context_length_exceeded",
    )
    assert said["request_id"] == answer.headers["request-id"]
    assert not Generation.objects.exists()


def test_bad_keys(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    missing = post(gateway, None, HELLO)
    assert (missing.status_code, missing.json()["error"]["type"]) == (401, "authentication_error")
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client_of(gateway, "sk-tp-v1-wrong").messages.create(**HELLO)
    assert caught.value.body["error"]["error_type"] == "authentication"  # type: ignore[index]
    ApiKey.objects.filter(pk=alice.key_id).update(disabled=True)
    assert post(gateway, alice, HELLO).status_code == 401
    managing = buyer(email="m@example.com", scopes=["management"])
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        client_of(gateway, managing).messages.create(**HELLO)
    assert refused.value.body["error"]["type"] == "permission_error"  # type: ignore[index]


def test_an_empty_wallet_is_a_402(gateway: str, simulate: Simulate) -> None:
    endpoint(simulate().base_url)
    with pytest.raises(anthropic.APIStatusError) as caught:
        client_of(gateway, buyer(dollars="0")).messages.create(**HELLO)
    assert caught.value.status_code == 402
    assert caught.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
    assert caught.value.body["metadata"]["affordable_tokens"] == 0  # type: ignore[index]


@pytest.mark.parametrize("path", PATHS)
def test_a_body_beyond_the_cap_is_a_413(gateway: str, alice: Buyer, path: str) -> None:
    answer = post(gateway, alice, b'{"x": "' + b"x" * (21 * 1024 * 1024) + b'"}', path)
    assert answer.status_code == 413
    assert answer.json()["error"]["error_type"] == "payload_too_large"


def test_other_methods_and_addresses_beneath_speak_the_dialect_too(gateway: str, alice: Buyer) -> None:
    answer = httpx.get(gateway + PATHS[0], headers={"x-api-key": alice.key})
    assert (answer.status_code, answer.json()["type"]) == (405, "error")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("500", 502, "api_error"),
        ("429:3", 429, "rate_limit_error"),
        ("hang", 504, "timeout_error"),
        ("400", 400, "invalid_request_error"),
    ],
)
def test_when_no_endpoint_answers_the_status_is_true(
    gateway: str, simulate: Simulate, alice: Buyer, fault: str, status: int, kind: str, stream: bool
) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order(fault, always=True)
    answer = post(gateway, alice, HELLO | {"stream": stream})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("3" if status == 429 else None)
    assert not Charge.objects.exists()


def test_a_stream_that_breaks_never_looks_like_a_clean_end(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("cut:3", "cut:3")
    events = events_of(post(gateway, alice, HELLO | {"stream": True}).text)
    kinds = {event["type"] for event in events}
    assert not kinds & {"message_stop", "message_delta"}
    assert events[-1]["error"]["type"] == "api_error"
    assert events[-1]["error"]["error_type"] == "provider_unavailable"
    assert events[-1]["usage"]["cost"] * 1e9 == pytest.approx(Charge.objects.get().amount_nano)
    with pytest.raises(anthropic.APIError), client_of(gateway, alice).messages.stream(**HELLO) as stream:
        stream.get_final_message()


def test_a_caller_that_hangs_up_ends_the_providers_work(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(tokens=400, tps=40)
    endpoint(sim.base_url)
    stream = client_of(gateway, alice).messages.create(**HELLO | {"max_tokens": 400}, stream=True)
    for event in stream:
        if event.type == "content_block_delta":
            break
    stream.close()
    until(lambda: Generation.objects.get().status == "canceled")
    assert Charge.objects.get().amount_nano > 0
    assert sim.simulator.received[0].pieces < 100


def test_pings_keep_a_silent_stream_open(
    gateway: str, simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE_SECONDS", 0.05)
    endpoint(simulate(tps=4, tokens=3).base_url)
    events = events_of(post(gateway, alice, HELLO | {"stream": True}).text)
    kinds = [event["type"] for event in events]
    assert "ping" in kinds
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


def test_an_outage_moves_on_to_the_fallback_model(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    down, up = simulate(), simulate("sim-two")
    endpoint(down.base_url)
    endpoint(up.base_url, model_slug="acme/large", provider="sim-two")
    down.order("500", always=True)
    body = post(gateway, alice, HELLO | {"fallbacks": [{"model": "acme/large"}]}).json()
    assert (body["model"], body["provider"]) == ("acme/large", "Sim-Two")
