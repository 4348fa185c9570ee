"""POST /api/v1/embeddings over a real socket: the official client, failover, money, mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAI

from billing.models import Charge, Hold
from routing.models import Generation
from routing.simulation.whole import vector
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
HELLO: dict[str, Any] = {"model": "acme/vectors", "input": ["one", "two two two"]}


def vectors(base_url: str, **fields: Any) -> None:
    given = {"model_slug": "acme/vectors", "output_modalities": ["embeddings"], "per_million": {"prompt": "0.02"}}
    endpoint(base_url, **(given | fields))


def post(gateway: str, who: Buyer, path: str = "/api/v1/embeddings", **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"}
    return httpx.post(gateway + path, content=json.dumps(HELLO | fields), headers=headers, timeout=30)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_the_official_client_reads_it(gateway: str, simulate: Simulate, alice: Buyer, encoding: Any) -> None:
    vectors(simulate().base_url)
    wish = {"encoding_format": encoding} if encoding else {}  # without a wish it asks for base64 by itself
    with OpenAI(base_url=f"{gateway}/api/v1", api_key=alice.key, max_retries=0) as client:
        answer = client.embeddings.create(**HELLO, dimensions=4, **wish)
    found = answer.data[1].embedding
    if encoding == "base64":
        assert isinstance(found, str)
    else:
        assert found == pytest.approx(vector("two two two", 4))
    assert answer.usage.prompt_tokens == 3
    row = Generation.objects.get()
    assert (row.operation, row.status, row.prompt_tokens, row.cost_nano) == ("embeddings", "finished", 3, 60)
    charge = Charge.objects.get()
    assert (charge.kind, charge.amount_nano, charge.quantities) == ("embeddings", 60, {"prompt": 3})


def test_it_fails_over_and_tells_in_the_record(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    vectors(bad.base_url, provider="sim-bad", per_million={"prompt": "0.01"})
    vectors(good.base_url, provider="sim-good")
    for fault in ("500", "429:1", "hang", "malformed", "empty", "html", "clip", "cut"):
        bad.order(fault, always=True)
        answer = post(gateway, alice, "/v1/embeddings")
        assert (answer.status_code, answer.json()["provider"]) == (200, "Sim-Good"), fault
    headers = {"authorization": f"Bearer {alice.key}"}
    told = httpx.get(f"{gateway}/api/v1/generation?id={answer.headers['x-generation-id']}", headers=headers).json()
    assert told["data"]["api_type"] == "embeddings"


def test_a_cohere_provider_answers_too(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    vectors(sim.base_url.removesuffix("/v1"), dialect="cohere")
    body = post(gateway, alice, input_type="search_query").json()
    assert len(body["data"]) == 2
    assert sim.simulator.received[0].body["input_type"] == "search_query"
    assert Charge.objects.get().labels["usage_source"] == "provider"


def test_usage_that_never_comes_is_counted(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    vectors(sim.base_url)
    sim.order("nousage")
    assert post(gateway, alice).json()["usage"]["prompt_tokens"] == 4
    assert Generation.objects.get().usage_source == "counted"


def test_failure_costs_nothing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    vectors(sim.base_url)
    sim.order("500", always=True)
    answer = post(gateway, alice)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, 502)
    assert Hold.objects.get().state == Hold.State.RELEASED
    assert not Charge.objects.exists()


def test_the_wrong_kind_of_model_names_one_that_can(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url)
    vectors(sim.base_url, provider="sim-two")
    answer = post(gateway, alice, model="acme/small")
    assert answer.status_code == 404
    assert "gives no embeddings" in answer.json()["error"]["message"]
    assert "Models that give embeddings: acme/vectors." in answer.json()["error"]["message"]
    body = {"model": "acme/vectors", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {alice.key}"}
    chat = httpx.post(f"{gateway}/api/v1/chat/completions", json=body, headers=headers)
    assert "Models that give text: acme/small." in chat.json()["error"]["message"]
    assert sim.calls == 0


def test_money_is_needed_first(gateway: str, simulate: Simulate, money: None) -> None:
    sim = simulate()
    vectors(sim.base_url, per_million={"prompt": "1000000"})
    answer = post(gateway, buyer(dollars="5.00"))
    assert answer.status_code == 402
    assert "needs up to $14.00 held and $5.00 is free" in answer.json()["error"]["message"]
    assert sim.calls == 0


def test_one_input_longer_than_the_context_is_refused_but_many_short_ones_pass(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    vectors(simulate().base_url, context_length=100, max_output=None)
    assert post(gateway, alice, input=["a" * 300] * 10).status_code == 200
    refused = post(gateway, alice, input=["a" * 500])
    assert (refused.status_code, refused.json()["error"]["metadata"]["error_type"]) == (400, "context_length_exceeded")
