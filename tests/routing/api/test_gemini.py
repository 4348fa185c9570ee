"""POST models/{model}:generateContent over a real socket: as Google's clients ask, and with bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from billing.models import Charge, Hold
from routing.models import Generation
from routing.services import chat
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
HELLO: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Tell me something"}]}],
    "generationConfig": {"maxOutputTokens": 50},
}
PLACE = "/api/v1beta/models/acme/small"


def post(gateway: str, who: Buyer, verb: str, body: Any = HELLO, *, place: str = PLACE) -> httpx.Response:
    headers = {"x-goog-api-key": who.key}
    return httpx.post(f"{gateway}{place}:{verb}", json=body, headers=headers, timeout=30)


def words(*items: dict[str, Any]) -> str:
    parts = [part for item in items for part in item["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


@pytest.mark.parametrize("place", [PLACE, "/api/v1/models/acme/small", "/api/v1beta/models/acme%2Fsmall"])
def test_an_answer_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer, place: str) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, "generateContent", place=place)
    body = answer.json()
    assert (answer.status_code, body["responseId"]) == (200, answer.headers["x-generation-id"])
    assert "simulated" in words(body)
    assert (body["modelVersion"], body["provider"]) == ("acme/small", "Sim-One")
    assert body["usageMetadata"]["cost"] * 1e9 == pytest.approx(Charge.objects.get().amount_nano)
    assert body["usageMetadata"]["candidatesTokenCount"] == Generation.objects.get().completion_tokens


def test_the_key_may_stand_in_the_address(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    url = f"{gateway}{PLACE}:generateContent"
    assert httpx.post(url, json=HELLO, params={"key": alice.key}, timeout=30).status_code == 200
    wrong = httpx.post(url, json=HELLO, params={"key": "sk-tp-v1-wrong"}, timeout=30)
    assert (wrong.status_code, wrong.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert httpx.post(url, json=HELLO, timeout=30).status_code == 401


def test_both_forms_of_a_stream_say_the_same(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    plain = post(gateway, alice, "generateContent").json()
    as_events = post(gateway, alice, "streamGenerateContent?alt=sse")
    as_array = post(gateway, alice, "streamGenerateContent")
    assert as_events.headers["content-type"] == "text/event-stream"
    assert as_array.headers["content-type"] == "application/json"
    events = [json.loads(event.removeprefix("data: ")) for event in as_events.text.strip().split("\n\n")]
    assert words(*events) == words(*as_array.json()) == words(plain)
    assert events[-1]["usageMetadata"] == as_array.json()[-1]["usageMetadata"] == plain["usageMetadata"]
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"


def test_functions_and_their_answers(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url, parameters=["tools", "tool_choice"])
    tools = [{"functionDeclarations": [{"name": "look", "parameters": {"type": "OBJECT", "properties": {}}}]}]
    content = post(gateway, alice, "generateContent", HELLO | {"tools": tools}).json()["candidates"][0]["content"]
    call = content["parts"][0]["functionCall"]
    assert (call["name"], call["args"]) == ("look", {})
    reply = {"functionResponse": {"name": "look", "id": call["id"], "response": {"result": "a tree"}}}
    turns = [*HELLO["contents"], content, {"role": "user", "parts": [reply]}]
    after = post(gateway, alice, "generateContent", HELLO | {"tools": tools, "contents": turns})
    assert "simulated" in words(after.json())
    sent = sim.simulator.received[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[2]["content"] == "a tree"


def test_tokens_are_counted_free_of_charge(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    plain = post(gateway, alice, "countTokens", {"contents": HELLO["contents"]}).json()["totalTokens"]
    whole = {"generateContentRequest": HELLO | {"systemInstruction": {"parts": [{"text": "Be brief. " * 100}]}}}
    assert 0 < plain < post(gateway, alice, "countTokens", whole).json()["totalTokens"]
    assert Hold.objects.count() == Generation.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "status", "word", "said"),
    [
        ({"contents": []}, 400, "INVALID_ARGUMENT", "contents"),
        ({"generationConfig": {"temperature": 9}}, 400, "INVALID_ARGUMENT", "temperature"),
        ({"generationConfig": {"maxOutputTokens": 10**6}}, 400, "INVALID_ARGUMENT", "at most 2048"),
        ({"provider": {"only": ["nobody"]}}, 404, "NOT_FOUND", "provider.only"),
    ],
)
def test_bad_input_gets_googles_envelope(
    gateway: str, simulate: Simulate, alice: Buyer, fields: dict[str, Any], status: int, word: str, said: str
) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, "generateContent", HELLO | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, word)
    assert said in error["message"]
    assert error["details"][0]["reason"] == error["error_type"].upper()


def test_other_ways_in_speak_the_dialect_too(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    assert post(gateway, alice, "generateContent", place="/api/v1beta/models/acme/none").status_code == 400
    assert httpx.get(f"{gateway}{PLACE}:generateContent").json()["error"]["status"] == "INVALID_ARGUMENT"
    sim.order("429:3")
    limited = post(gateway, alice, "streamGenerateContent?alt=sse")
    assert (limited.status_code, limited.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert limited.json()["error"]["details"][1]["retryDelay"] == "3s"


def test_who_asks_is_told_of_the_routing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    headers = {"x-goog-api-key": alice.key, "x-openrouter-metadata": "enabled"}
    sim.order("ok", "ok", "cut:3")
    for verb in ("generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent?alt=sse"):
        text = httpx.post(f"{gateway}{PLACE}:{verb}", json=HELLO, headers=headers, timeout=30).text
        last = json.loads(text.strip().split("data: ")[-1])
        assert last["openrouter_metadata"]["attempts"][0]["provider"] == "Sim-One"
    assert "error" in last


def test_a_stream_that_breaks_never_looks_like_a_clean_end(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("cut:3", "cut:3")
    for verb in ("streamGenerateContent?alt=sse", "streamGenerateContent"):
        text = post(gateway, alice, verb).text
        last = json.loads(text)[-1] if text.startswith("[") else json.loads(text.strip().split("data: ")[-1])
        assert "finishReason" not in text
        assert (last["error"]["code"], last["error"]["status"]) == (502, "UNAVAILABLE")
        assert last["usageMetadata"]["cost"] > 0


def test_space_keeps_a_silent_stream_open(
    gateway: str, simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE_SECONDS", 0.05)
    endpoint(simulate(tps=4, tokens=3).base_url)
    assert "\n\n\n" in post(gateway, alice, "streamGenerateContent?alt=sse").text
    assert json.loads(post(gateway, alice, "streamGenerateContent").text)[-1]["usageMetadata"]
