"""POST /api/v1/images over a real socket: the official client, links, failover, money."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import httpx
from openai import OpenAI

from billing.models import Charge
from routing.models import Generation
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


def painter(base_url: str, **fields: Any) -> None:
    given = {"model_slug": "acme/painter", "output_modalities": ["image"], "per_unit": {"generated_image": "0.04"}}
    endpoint(base_url, **(given | fields))


def post(gateway: str, who: Buyer, path: str = "/api/v1/images", **fields: Any) -> httpx.Response:
    asked = {"model": "acme/painter", "prompt": "a boat"} | fields
    return httpx.post(gateway + path, json=asked, headers={"authorization": f"Bearer {who.key}"}, timeout=30)


def test_the_official_client_gets_pictures(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    painter(simulate().base_url)
    with OpenAI(base_url=f"{gateway}/api/v1", api_key=alice.key, max_retries=0) as client:
        answer = client.images.generate(model="acme/painter", prompt="a boat", n=2, size="1024x1024")
    assert answer.data is not None
    assert [b64decode(one.b64_json or "")[:4] for one in answer.data] == [b"\x89PNG"] * 2
    row, charge = Generation.objects.get(), Charge.objects.get()
    assert (row.operation, row.cost_nano, charge.quantities["generated_image"]) == ("images", 80_000_000, 2)


def test_links_open_without_a_key(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    painter(simulate().base_url)
    [one] = post(gateway, alice, "/v1/images/generations", response_format="url").json()["data"]
    assert one["url"].startswith(gateway)
    picture = httpx.get(one["url"])
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")


def test_it_fails_over_and_charges_what_answered(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    painter(bad.base_url, provider="sim-bad", per_unit={"generated_image": "0.01"})
    painter(good.base_url, provider="sim-good", dialect="together")
    for fault in ("500", "empty", "malformed"):
        bad.order(fault, always=True)
        assert post(gateway, alice).json()["usage"]["cost"] == 0.04, fault


def test_an_endpoint_may_be_priced_by_tokens(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    painter(simulate().base_url, per_unit={}, per_million={"prompt": "5", "image_output": "40"})
    usage = post(gateway, alice).json()["usage"]
    assert usage["cost"] == (usage["prompt_tokens"] * 5 + usage["completion_tokens"] * 40) / 1_000_000


def test_more_than_is_affordable_is_refused_before_the_call(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    painter(sim.base_url, per_unit={"generated_image": "1"})
    answer = post(gateway, alice, n=6)
    assert (answer.status_code, sim.calls) == (402, 0)
    assert "$6.00" in answer.json()["error"]["message"]
