"""POST /api/v1/rerank and /api/v2/rerank over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from billing.models import Charge
from routing.models import Generation
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
ASKED = {"model": "acme/ranker", "query": "capital of France", "documents": ["Bern", "the capital of France", "France"]}


def ranker(sim: Simulated, *, dialect: str = "generic", **fields: Any) -> None:
    base = sim.base_url.removesuffix("/v1") if dialect == "cohere" else sim.base_url
    given = {"model_slug": "acme/ranker", "output_modalities": ["rerank"], "per_unit": {"search_unit": "0.002"}}
    endpoint(base, dialect=dialect, **(given | fields))


def post(gateway: str, who: Buyer, path: str = "/api/v1/rerank", **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"}
    return httpx.post(gateway + path, json=ASKED | fields, headers=headers, timeout=30)


@pytest.mark.parametrize("dialect", ["generic", "cohere"])
def test_it_ranks_and_charges_a_search(gateway: str, simulate: Simulate, alice: Buyer, dialect: str) -> None:
    ranker(simulate(), dialect=dialect)
    body = post(gateway, alice, top_n=2).json()
    assert [(one["index"], one["document"]["text"]) for one in body["results"]] == [
        (1, "the capital of France"), (2, "France"),
    ]  # fmt: skip
    assert body["usage"]["cost"] == 0.002
    row, charge = Generation.objects.get(), Charge.objects.get()
    assert (row.operation, row.cost_nano, charge.quantities["search_unit"]) == ("rerank", 2_000_000, 1)


def test_cohere_s_path_answers_in_its_shape(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    ranker(simulate(), dialect="cohere")
    body = post(gateway, alice, "/api/v2/rerank").json()
    assert [set(one) for one in body["results"]] == [{"index", "relevance_score"}] * 3
    assert body["meta"]["billed_units"] == {"search_units": 1}
    refused = post(gateway, alice, "/api/v2/rerank", documents=[])
    assert (refused.status_code, refused.json()["message"]) == (400, "'documents' must be a non-empty array.")


def test_it_fails_over_to_another_dialect(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    ranker(bad, provider="sim-bad", per_unit={"search_unit": "0.001"})
    ranker(good, provider="sim-good", dialect="cohere")
    for fault in ("503", "malformed", "empty"):
        bad.order(fault, always=True)
        assert post(gateway, alice).json()["provider"] == "Sim-Good", fault


def test_an_endpoint_may_be_priced_by_tokens(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    ranker(simulate(), per_unit={}, per_million={"prompt": "1000"})
    usage = post(gateway, alice).json()["usage"]
    assert usage["cost"] == usage["total_tokens"] * 0.001
