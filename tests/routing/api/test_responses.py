"""POST responses and completions over a real socket, with the official client and with bad input."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, OpenAI

from billing.models import Charge
from routing.models import Generation
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
ASK: dict[str, Any] = {"model": "acme/small", "input": "Tell me something", "max_output_tokens": 50}
GO_ON: dict[str, Any] = {"model": "acme/small", "prompt": "Tell me something", "max_tokens": 50}
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
OPEN: list[OpenAI] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def client_of(gateway: str, who: Buyer) -> Any:
    OPEN.append(OpenAI(base_url=f"{gateway}/api/v1", api_key=who.key, max_retries=0, timeout=30))
    return OPEN[-1]


def post(gateway: str, who: Buyer, path: str, body: Any) -> httpx.Response:
    return httpx.post(gateway + path, json=body, headers={"authorization": f"Bearer {who.key}"}, timeout=30)


@pytest.mark.parametrize("path", ["/api/v1/responses", "/v1/responses"])
def test_a_response_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer, path: str) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, path, ASK)
    body = answer.json()
    assert (answer.status_code, body["id"]) == (200, answer.headers["x-generation-id"])
    assert (body["object"], body["model"], body["provider"]) == ("response", "acme/small", "Sim-One")
    assert body["usage"]["cost"] * 1e9 == pytest.approx(Charge.objects.get().amount_nano)
    assert body["usage"]["output_tokens"] == Generation.objects.get().completion_tokens


def test_the_official_client_plain_and_streamed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    client = client_of(gateway, alice)
    plain = client.responses.create(**ASK)
    with client.responses.stream(**ASK) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == plain.output_text == final.output_text
    assert "simulated" in text
    assert final.usage.total_tokens == plain.usage.total_tokens > 0
    assert final.usage.cost == plain.usage.cost > 0


def test_tools_their_results_and_structured_output(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url, parameters=["tools", "tool_choice", "response_format", "structured_outputs"])
    client = client_of(gateway, alice)
    plain = client.responses.create(**ASK, tools=[TOOL])
    (call,) = plain.output
    assert (call.type, call.name, call.arguments) == ("function_call", "look", "{}")
    with client.responses.stream(**ASK, tools=[TOOL]) as stream:
        assert stream.get_final_response().output[0].arguments == "{}"
    turns = [
        {"role": "user", "content": ASK["input"]},
        *(item.model_dump() for item in plain.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "a tree"},
    ]
    after = client.responses.create(**ASK | {"input": turns}, tools=[TOOL])
    assert "simulated" in after.output_text
    sent = sim.simulator.received[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    formed = client.responses.create(
        **ASK, text={"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}}
    )
    assert json.loads(formed.output_text) == {"city": "simulated"}


def test_errors_keep_the_envelope_and_name_their_type(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    client = client_of(gateway, alice)
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(**ASK, previous_response_id="resp_1")
    assert "previous_response_id" in caught.value.body["message"]  # type: ignore[index]
    assert caught.value.response.json()["error_type"] == "invalid_request"
    sim.order("429:3")
    with pytest.raises(APIStatusError) as limited:
        client.responses.create(**ASK)
    assert (limited.value.status_code, limited.value.response.headers["retry-after"]) == (429, "3")


def test_a_stream_that_breaks_ends_as_failed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    sim.order("cut:3")
    *_, last = list(client_of(gateway, alice).responses.create(**ASK, stream=True))
    assert (last.type, last.response.error.code) == ("response.failed", "server_error")
    assert last.response.usage.cost * 1e9 == pytest.approx(Charge.objects.get().amount_nano)


@pytest.mark.parametrize("path", ["/api/v1/completions", "/v1/completions"])
def test_a_completion_on_the_wire(gateway: str, simulate: Simulate, alice: Buyer, path: str) -> None:
    endpoint(simulate().base_url)
    answer = post(gateway, alice, path, GO_ON)
    body = answer.json()
    assert (answer.status_code, body["id"]) == (200, answer.headers["x-generation-id"])
    assert (body["object"], body["provider"]) == ("text_completion", "Sim-One")
    assert post(gateway, alice, path, GO_ON | {"prompt": ""}).json()["error"]["code"] == 400


def test_the_official_client_completes_plain_and_streamed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    client = client_of(gateway, alice)
    plain = client.completions.create(**GO_ON, echo=True)
    chunks = list(client.completions.create(**GO_ON, echo=True, stream=True))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].text
    assert text.startswith(GO_ON["prompt"])
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
