"""POST /api/v1/chat/completions over a real socket, with the official client and with bad input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

from billing.models import Charge, Hold
from marketplace.models import ApiKey
from routing import upstream
from routing.models import Generation
from routing.services import chat
from routing.upstream import Deadlines
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
PATHS = ["/api/v1/chat/completions", "/v1/chat/completions"]
HELLO: dict[str, Any] = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Tell me something"}],
    "max_tokens": 50,
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


OPEN: list[OpenAI] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def client_of(gateway: str, who: Buyer | str) -> OpenAI:
    key = who if isinstance(who, str) else who.key
    OPEN.append(OpenAI(base_url=f"{gateway}/api/v1", api_key=key, max_retries=0, timeout=30))
    return OPEN[-1]


def post(gateway: str, who: Buyer | None, body: Any, path: str = PATHS[0]) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"} if who else {}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(gateway + path, content=content, headers=headers, timeout=30)


def until(condition: Callable[[], Any], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@pytest.mark.parametrize("path", PATHS)
def test_it_answers(gateway: str, simulate: Simulate, alice: Buyer, path: str) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, HELLO, path)
    assert answer.status_code == 200
    body = answer.json()
    assert body["id"] == answer.headers["x-generation-id"]
    assert body["id"].startswith("gen-")
    assert (body["object"], body["model"], body["provider"]) == ("chat.completion", "acme/small", "Sim-One")
    assert body["usage"]["cost"] * 1e9 == pytest.approx(Charge.objects.get().amount_nano)
    assert answer.headers["x-request-id"]


def test_the_official_client_plain_and_streamed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    client = client_of(gateway, alice)
    plain = client.chat.completions.create(**HELLO)
    chunks = list(client.chat.completions.create(**HELLO, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert "simulated" in text
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk.id for chunk in chunks} != {plain.id}
    assert chunks[-1].usage.model_extra["cost"] == plain.usage.model_extra["cost"] > 0


def test_tools_plain_and_streamed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url, parameters=["tools", "tool_choice"])
    client = client_of(gateway, alice)
    plain = client.chat.completions.create(**HELLO, tools=[TOOL])  # type: ignore[list-item]
    assert plain.choices[0].finish_reason == "tool_calls"
    assert plain.choices[0].message.tool_calls[0].function.name == "look"  # type: ignore[index, union-attr]
    with client.chat.completions.stream(**HELLO, tools=[TOOL]) as stream:  # type: ignore[list-item]
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == "{}"  # type: ignore[index]


def test_a_stream_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, HELLO | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert {event["id"] for event in events} == {answer.headers["x-generation-id"]}
    assert [("usage" in event) for event in events].count(True) == 1
    assert events[-1]["choices"] == []
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


BAD: list[tuple[Any, int, str, str]] = [
    (b"{", 400, "invalid_request", "not valid JSON"),
    (b"[]", 400, "invalid_request", "JSON object"),
    (b"\xff", 400, "invalid_request", "not valid JSON"),
    ({**HELLO, "temperature": 9}, 400, "invalid_request", "temperature"),
    ({**HELLO, "model": "acme/none"}, 400, "invalid_request", "acme/none"),
    ({**HELLO, "model": "nonsense"}, 400, "invalid_request", "nonsense"),
    ({"messages": HELLO["messages"]}, 400, "invalid_request", "model"),
    ({**HELLO, "provider": {"only": ["nobody"]}}, 404, "not_found", "provider.only"),
    ({**HELLO, "max_tokens": 1_000_000}, 400, "max_tokens_exceeded", "at most 2048"),
    ({**HELLO, "messages": [{"role": "user", "content": "word " * 50_000}]}, 400, "context_length_exceeded", "8192"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("body", "status", "error_type", "words"), BAD)
def test_bad_input_gets_the_envelope(
    gateway: str, simulate: Simulate, alice: Buyer, body: Any, status: int, error_type: str, words: str, path: str
) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, body, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert error["metadata"]["error_type"] == error_type
    assert words in error["message"]
    assert not Generation.objects.exists()


def test_bad_keys(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    assert post(gateway, None, HELLO).status_code == 401
    with pytest.raises(AuthenticationError) as caught:
        client_of(gateway, "sk-tp-v1-wrong").chat.completions.create(**HELLO)
    assert caught.value.body["metadata"]["error_type"] == "authentication"  # type: ignore[index]
    ApiKey.objects.filter(pk=alice.key_id).update(disabled=True)
    assert post(gateway, alice, HELLO).status_code == 401
    managing = buyer(email="m@example.com", scopes=["management"])
    with pytest.raises(PermissionDeniedError):
        client_of(gateway, managing).chat.completions.create(**HELLO)


def test_an_empty_wallet_is_a_402(gateway: str, simulate: Simulate) -> None:
    endpoint(simulate().base_url)
    with pytest.raises(APIStatusError) as caught:
        client_of(gateway, buyer(dollars="0")).chat.completions.create(**HELLO)
    assert caught.value.status_code == 402
    assert caught.value.body["metadata"]["affordable_tokens"] == 0  # type: ignore[index]


def test_a_body_beyond_the_cap_is_a_413(gateway: str, alice: Buyer, simulate: Simulate) -> None:
    answer = post(gateway, alice, b'{"x": "' + b"x" * (21 * 1024 * 1024) + b'"}')
    assert answer.status_code == 413
    assert answer.json()["error"]["metadata"]["error_type"] == "payload_too_large"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("500", InternalServerError), ("429:3", RateLimitError), ("hang", InternalServerError), ("400", BadRequestError)],
)
def test_when_no_endpoint_answers_the_status_is_true(
    gateway: str, simulate: Simulate, alice: Buyer, fault: str, kind: type[APIStatusError], stream: bool
) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order(fault, always=True)
    with pytest.raises(kind) as caught:
        client_of(gateway, alice).chat.completions.create(**HELLO, stream=stream)
    if kind is RateLimitError:
        assert caught.value.response.headers["retry-after"] == "3"
    assert "Traceback" not in caught.value.response.text


def test_no_endpoint_tells_the_reasons(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    with pytest.raises(NotFoundError) as caught:
        client_of(gateway, alice).chat.completions.create(**HELLO, extra_body={"provider": {"zdr": True}})
    availability = caught.value.body["metadata"]["availability"]  # type: ignore[index]
    assert availability["excluded_by"] == ["data_policy:zdr"]


def test_a_stream_that_breaks_never_looks_like_a_clean_end(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("cut:3", "cut:3")
    answer = post(gateway, alice, HELLO | {"stream": True})
    assert "[DONE]" not in answer.text
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == 502
    assert last["choices"][0]["finish_reason"] == "error"
    assert last["usage"]["cost"] > 0
    assert answer.text.count('"usage"') == 1
    with pytest.raises(APIError):
        list(client_of(gateway, alice).chat.completions.create(**HELLO, stream=True))


def test_a_caller_that_hangs_up_ends_the_providers_work(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(tokens=400, tps=40)
    endpoint(sim.base_url)
    stream = client_of(gateway, alice).chat.completions.create(**HELLO | {"max_tokens": 400}, stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()
    until(lambda: sim.simulator.received[0].outcome == "disconnected")
    until(lambda: Generation.objects.get().status == "canceled")
    assert Charge.objects.get().amount_nano > 0
    assert sim.simulator.received[0].pieces < 100


def test_a_caller_that_hangs_up_before_anything_came_pays_nothing(
    gateway: str, simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", Deadlines())  # longer than the caller's
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("hang", always=True)
    headers = {"authorization": f"Bearer {alice.key}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(gateway + PATHS[0], json=HELLO, headers=headers, timeout=1)
    until(lambda: Generation.objects.filter(status__in=("canceled", "failed")).exists())
    assert Hold.objects.get().state == Hold.State.RELEASED
    assert not Charge.objects.exists()


def test_a_slow_reader_holds_back_only_itself(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(tokens=2_000)
    endpoint(sim.base_url)
    client = client_of(gateway, alice)
    slow = client.chat.completions.create(**HELLO | {"max_tokens": 2_000}, stream=True)
    next(iter(slow))
    assert len(list(client.chat.completions.create(**HELLO, stream=True))) > 10  # while nobody reads the other
    assert sum(1 for _ in slow) > 1_900
    until(lambda: Generation.objects.filter(status="finished").count() == 2)


def test_comments_keep_a_silent_stream_open(
    gateway: str, simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE_SECONDS", 0.05)
    endpoint(simulate(tps=4, tokens=3).base_url)
    answer = post(gateway, alice, HELLO | {"stream": True})
    assert ": keep-alive\n\n" in answer.text
    assert "data: :" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_exactly_what_is_affordable_is_served(
    gateway: str, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More at once than the wallet can hold: as many as fit, the rest 402, never below zero."""
    monkeypatch.setattr(upstream.SENDER, "limits", Deadlines())
    sim = simulate(ttft=1.5, tokens=5)
    endpoint(sim.base_url, per_million={"completion": "1000"})
    poor = buyer(dollars="0.05")  # ten holds of five tokens at $0.001
    with ThreadPoolExecutor(40) as threads:
        body = HELLO | {"max_tokens": 5}
        answers = list(threads.map(lambda _: post(gateway, poor, body).status_code, range(40)))
    assert sorted(set(answers)) == [200, 402]
    assert answers.count(200) == 10
    assert sum(Charge.objects.values_list("amount_nano", flat=True)) == 50_000_000


def test_a_caller_who_asks_is_told_of_the_routing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    down, up = simulate(), simulate("sim-two")
    endpoint(down.base_url)
    endpoint(up.base_url, provider="sim-two")
    down.order("500", always=True)
    headers = {"authorization": f"Bearer {alice.key}", "x-openrouter-metadata": "enabled"}
    wanted = HELLO | {"provider": {"order": ["sim-one", "sim-two"]}}
    told = httpx.post(gateway + PATHS[0], json=wanted, headers=headers, timeout=30).json()["openrouter_metadata"]
    assert told["attempts"] == [
        {"provider": "Sim-One", "model": "acme/small", "status": 500},
        {"provider": "Sim-Two", "model": "acme/small", "status": 200},
    ]
    assert (told["requested"], told["strategy"], told["attempt"]) == ("acme/small", "direct", 2)
    assert [one["selected"] for one in told["endpoints"]["available"]] == [False, True]
    streamed = httpx.post(gateway + PATHS[0], json=wanted | {"stream": True}, headers=headers, timeout=30).text
    events = [event.removeprefix("data: ") for event in streamed.strip().split("\n\n")]
    assert ["openrouter_metadata" in event for event in events] == [False] * (len(events) - 2) + [True, False]
    assert "openrouter_metadata" not in post(gateway, alice, wanted).json()


def test_an_error_names_its_generation_and_who_was_tried(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("429:3", always=True)
    headers = {"authorization": f"Bearer {alice.key}", "x-openrouter-metadata": "enabled"}
    answer = httpx.post(gateway + PATHS[0], json=HELLO, headers=headers, timeout=30)
    assert Generation.objects.get().public_id == answer.headers["x-generation-id"]
    body = answer.json()
    assert body["openrouter_metadata"]["endpoints"]["available"][0]["selected"] is False
    assert body["error"]["availability"] == {
        "code": "capacity_exhausted",
        "retryable": True,
        "retry_after": 3,
        "requested_models": ["acme/small"],
        "affected_providers": ["Sim-One"],
    }
    assert "openrouter_metadata" not in post(gateway, alice, HELLO).json()


def test_one_whose_request_fits_nowhere_is_told_of_the_routing_too(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    endpoint(simulate().base_url)
    headers = {"authorization": f"Bearer {alice.key}", "x-openrouter-metadata": "enabled"}
    wanted = HELLO | {"provider": {"only": ["nobody"]}}
    told = httpx.post(gateway + PATHS[0], json=wanted, headers=headers, timeout=30).json()["openrouter_metadata"]
    assert (told["attempt"], told["endpoints"]) == (0, {"total": 1, "available": []})


def test_a_stream_that_broke_says_so_in_the_routing_and_in_its_generation(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("cut:3")
    headers = {"authorization": f"Bearer {alice.key}", "x-openrouter-metadata": "enabled"}
    wanted = {name: value for name, value in HELLO.items() if name != "model"}
    wanted |= {"models": ["acme/nobody", "acme/small"], "stream": True}
    answer = httpx.post(gateway + PATHS[0], json=wanted, headers=headers, timeout=30)
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == 502
    assert last["openrouter_metadata"]["attempts"][0]["provider"] == "Sim-One"
    found = f"{gateway}/api/v1/generation?id={answer.headers['x-generation-id']}"
    kept = httpx.get(found, headers=headers, timeout=30).json()["data"]
    assert [one["error_type"] for one in kept["provider_responses"]] == ["cut"]
    assert kept["routing"]["unknown_models"] == ["acme/nobody"]


def test_a_conversation_is_named_in_the_body_or_in_a_header(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    headers = {"authorization": f"Bearer {alice.key}", "x-session-id": "from-header"}
    for more in ({}, {"session_id": "from-body"}):
        assert httpx.post(gateway + PATHS[0], json=HELLO | more, headers=headers, timeout=30).status_code == 200
    assert set(Generation.objects.values_list("session_id", flat=True)) == {"from-header", "from-body"}
    headers["x-session-id"] = "x" * 257
    assert httpx.post(gateway + PATHS[0], json=HELLO, headers=headers, timeout=30).status_code == 400


def test_every_field_of_the_reference_is_accepted(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    fields = {
        "models": ["acme/small"], "route": "fallback", "plugins": [{"id": "web", "enabled": False}],
        "transforms": ["middle-out"], "parallel_tool_calls": True, "max_completion_tokens": 20, "temperature": 1,
        "top_p": 0.9, "top_k": 40, "top_a": 0.1, "min_p": 0.1, "frequency_penalty": 0.1, "presence_penalty": 0.1,
        "repetition_penalty": 1.1, "logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "seed": 7,
        "stop": ["x"], "response_format": {"type": "text"}, "reasoning": {"effort": "low", "exclude": True},
        "prediction": {"type": "content", "content": "x"}, "modalities": ["text"], "image_config": {"size": "1K"},
        "cache_control": {"type": "ephemeral"}, "prompt_cache_key": "k", "prompt_cache_options": {"mode": "auto"},
        "service_tier": "auto", "session_id": "s", "user": "u", "metadata": {"a": "b"}, "trace": {"trace_id": "t"},
        "debug": {"echo_upstream_body": False}, "stream_options": {"include_usage": True}, "verbosity": "low",
        "web_search_options": {}, "structured_outputs": True, "include_reasoning": True, "max_tool_calls": 3,
        "usage": {"include": True}, "stop_server_tools_when": [], "x_search_filter": {}, "nobody_knows_this": 1,
        "provider": {
            "order": ["sim-one"], "allow_fallbacks": True, "data_collection": "allow", "zdr": False,
            "only": ["sim-one"], "ignore": ["other"], "sort": {"by": "price"}, "max_price": {"prompt": "5"},
            "preferred_min_throughput": 1, "preferred_max_latency": {"p90": 60}, "enforce_distillable_text": False,
        },
    }  # fmt: skip
    answer = post(gateway, alice, HELLO | fields)
    assert answer.status_code == 200, answer.text
    sent = sim.simulator.received[0].body
    ours = {"provider", "models", "route", "plugins", "transforms", "usage", "session_id", "debug", "trace"}
    assert not ours & sent.keys()


def test_a_generation_tells_why_its_provider_and_endpoints_tell_how_they_did(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    cheap, dear = simulate(), simulate("sim-two")
    endpoint(cheap.base_url)
    endpoint(dear.base_url, provider="sim-two", per_million={"prompt": "9", "completion": "9"})
    answer = post(gateway, alice, HELLO | {"stream": True})
    headers = {"authorization": f"Bearer {alice.key}"}
    wanted = f"{gateway}/api/v1/generation?id={answer.headers['x-generation-id']}"
    routing = httpx.get(wanted, headers=headers, timeout=30).json()["data"]["routing"]
    assert routing["replays"] is True
    assert [(one["provider_name"], one["selected"]) for one in routing["endpoints"]] == [
        ("Sim-One", True),
        ("Sim-Two", False),
    ]
    assert routing["endpoints"][0]["expected_cost"] < routing["endpoints"][1]["expected_cost"]
    place = f"{gateway}/api/v1/models/acme/small/endpoints"
    known, anybody = (
        {one["provider_name"]: one for one in httpx.get(place, headers=sent, timeout=30).json()["data"]["endpoints"]}
        for sent in (headers, {})
    )
    assert known["Sim-One"]["uptime_last_5m"] == anybody["Sim-One"]["uptime_last_1d"] == 100.0
    assert known["Sim-One"]["latency_last_30m"]["p50"] > 0
    assert known["Sim-One"]["throughput_last_30m"]["p90"] > 0
    assert anybody["Sim-One"]["latency_last_30m"] is None
    assert known["Sim-Two"]["uptime_last_5m"] is None
