"""Idempotency-Key on what the gateway answers: one effect under one name, and the truth about the second request."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import ConflictError, OpenAI

from billing.models import Charge, Hold
from execution.models import IdempotencyKey
from routing.models import Generation
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.api.test_audio import ear
from tests.routing.api.test_embeddings import vectors
from tests.routing.conftest import Simulated
from tests.routing.operations.test_audio import sound

Simulate = Callable[..., Simulated]
HELLO: dict[str, Any] = {"model": "acme/small", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


def post(
    gateway: str, who: Buyer, body: Any = HELLO, *, name: str = "one", path: str = "/api/v1/chat/completions"
) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}", "idempotency-key": name, "content-type": "application/json"}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(gateway + path, content=sent, headers=headers, timeout=30)


def test_many_at_once_have_one_effect_and_the_rest_are_told_which(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(lambda _: post(gateway, alice), range(12)))
    served = [one for one in answers if one.status_code == 200]
    refused = [one for one in answers if one.status_code == 409]
    assert (len(served), len(refused), provider.calls) == (1, 11, 1)
    assert (Charge.objects.count(), Hold.objects.count(), Generation.objects.count()) == (1, 1, 1)
    again = post(gateway, alice)
    assert (again.status_code, again.headers["x-should-retry"]) == (409, "false")
    assert again.json()["error"]["metadata"]["generation_id"] == served[0].json()["id"]
    assert provider.calls == 1


def test_one_that_runs_is_to_be_waited_for(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    assert post(gateway, alice).status_code == 200
    Generation.objects.update(status="streaming")
    told = post(gateway, alice)
    assert (told.status_code, told.headers["retry-after"]) == (409, "1")
    assert "in progress (gen-" in told.json()["error"]["message"]
    assert "x-should-retry" not in told.headers


def test_another_body_is_a_422_and_the_same_written_otherwise_is_not(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    endpoint(simulate().base_url)
    assert post(gateway, alice).status_code == 200
    assert post(gateway, alice, HELLO | {"max_tokens": 21}).status_code == 422
    turned = json.dumps(dict(reversed(HELLO.items())), indent=3).encode()
    assert post(gateway, alice, turned).status_code == 409
    assert post(gateway, alice, name="x" * 256).status_code == 400
    assert Charge.objects.count() == 1


def test_other_names_routes_keys_and_accounts_are_none_of_its_business(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    endpoint(simulate().base_url)
    eve = buyer(email="eve@example.com")
    assert post(gateway, alice).status_code == 200
    assert post(gateway, alice, name="two").status_code == 200
    assert post(gateway, eve).status_code == 200
    assert post(gateway, alice, path="/api/v1/messages").status_code == 200
    assert Charge.objects.count() == 4
    assert sorted(IdempotencyKey.objects.values_list("name", flat=True)) == ["one", "one", "one", "two"]


def test_what_came_to_nothing_leaves_the_name_free(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    served = endpoint(provider.base_url, is_active=False)
    assert post(gateway, alice).status_code == 404
    served.is_active = True
    served.save()
    provider.order("500")
    assert post(gateway, alice).status_code == 502
    assert post(gateway, alice).status_code == 200
    assert post(gateway, alice).status_code == 409
    assert Charge.objects.count() == 1
    assert [row.status for row in Generation.objects.order_by("created_at")] == ["failed", "finished"]


@pytest.mark.parametrize("fault", ["", "cut:4"])
def test_a_stream_counts_once_something_of_it_was_delivered(
    gateway: str, simulate: Simulate, alice: Buyer, fault: str
) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    if fault:
        provider.order(fault)
    body = HELLO | {"stream": True}
    assert post(gateway, alice, body).status_code == 200
    assert post(gateway, alice, body).status_code == 409
    assert (provider.calls, Charge.objects.count()) == (1, 1)


def test_it_holds_for_every_operation_whatever_parts_a_forms_fields(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    provider = simulate()
    vectors(provider.base_url)
    asked = {"model": "acme/vectors", "input": "one"}
    found = [post(gateway, alice, asked, path="/api/v1/embeddings").status_code for _ in range(2)]
    assert found == [200, 409]
    ear(provider.base_url, provider="sim-ear")
    headers = {"authorization": f"Bearer {alice.key}", "idempotency-key": "one"}
    statuses = []
    for said in (sound(1.0), sound(1.0), sound(2.0)):
        files = {"file": ("a.wav", said, "audio/wav")}
        answer = httpx.post(
            f"{gateway}/api/v1/audio/transcriptions", data={"model": "acme/ear"}, files=files, headers=headers
        )
        statuses.append(answer.status_code)
    assert statuses == [200, 409, 422]


def test_the_official_client_does_not_try_what_cannot_change(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    with OpenAI(base_url=f"{gateway}/api/v1", api_key=alice.key, max_retries=5) as client:
        client.chat.completions.create(**HELLO, extra_headers={"Idempotency-Key": "mine"})
        with pytest.raises(ConflictError) as told:
            client.chat.completions.create(**HELLO, extra_headers={"Idempotency-Key": "mine"})
    assert "answered already, as gen-" in told.value.message
    assert provider.calls == 1
