"""What narrows and what orders the public models list."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from marketplace.lib import ids
from marketplace.models import Model
from routing.models import Generation
from routing.services import catalogue, popularity
from routing.services.catalogue import Span, Wanted
from tests.factories.marketplace import account
from tests.factories.routing import endpoint

pytestmark = pytest.mark.django_db
NOWHERE = "http://127.0.0.1:9/v1"


def names(**wanted: Any) -> list[str]:
    """The slugs that are listed, the newest first."""
    found = catalogue.models(account_id=None, wanted=Wanted(**wanted), sort="newest")
    return [listing.model.slug for listing in found]


@pytest.fixture
def shelf(db: None) -> None:
    """Two models that differ in everything, the older one dear and wise, at two providers."""
    endpoint(
        NOWHERE,
        model_slug="acme/wise",
        provider="north",
        per_million={"prompt": "3", "completion": "15"},
        parameters=["tools", "temperature"],
        policy={"zdr": True, "region": "eu"},
        context_length=200_000,
    )
    endpoint(
        NOWHERE,
        model_slug="other/quick",
        provider="south",
        per_million={"prompt": "0.1", "completion": "0.4"},
        policy={"region": "us"},
        input_modalities=["text", "image"],
    )
    facts = {"categories": ["legal"], "distillable": True, "benchmarks": {"intelligence": 60, "coding": 40}}
    long_ago = timezone.now() - dt.timedelta(days=40)
    Model.objects.filter(slug="wise").update(
        facts=facts, tokenizer="Llama3", created_at=long_ago, context_length=200_000
    )
    Model.objects.filter(slug="quick").update(
        input_modalities=["text", "image"], context_length=8_192, facts={"benchmarks": {"coding": 50}}
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["quick", "wise"]),
        ({"text": "acme"}, ["wise"]),
        ({"inputs": frozenset({"image"})}, ["quick"]),
        ({"parameters": frozenset({"tools"})}, ["wise"]),
        ({"authors": frozenset({"acme", "nobody"})}, ["wise"]),
        ({"providers": frozenset({"south"})}, ["quick"]),
        ({"category": "legal"}, ["wise"]),
        ({"family": "llama"}, ["wise"]),
        ({"region": "us"}, ["quick"]),
        ({"zdr": True}, ["wise"]),
        ({"zdr": True, "region": "us"}, []),
        ({"distillable": True}, ["wise"]),
        ({"distillable": False}, []),
        ({"least_context": 100_000}, ["wise"]),
        ({"prompt": Span(least=10**9)}, ["wise"]),
        ({"prompt": Span(most=10**9)}, ["quick"]),
        ({"completion": Span(least=10**8, most=10**9)}, ["quick"]),
        ({"age_days": Span(most=10)}, ["quick"]),
        ({"age_days": Span(least=10)}, ["wise"]),
        ({"indices": {"intelligence": Span(least=50)}}, ["wise"]),
        ({"indices": {"coding": Span(least=45)}}, ["quick"]),
        ({"indices": {"agentic": Span(most=100)}}, []),
    ],
)
def test_each_filter_alone_decides(shelf: None, wanted: dict[str, Any], found: list[str]) -> None:
    assert names(**wanted) == found


def test_zdr_and_region_must_hold_at_the_same_endpoint(shelf: None) -> None:
    endpoint(NOWHERE, model_slug="acme/wise", provider="south")
    assert names(zdr=True, region="us") == []
    assert names(zdr=True, region="eu") == ["wise"]


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("newest", ["quick", "wise"]),
        ("pricing-low-to-high", ["quick", "wise"]),
        ("pricing-high-to-low", ["wise", "quick"]),
        ("context-high-to-low", ["wise", "quick"]),
        ("intelligence-high-to-low", ["wise", "quick"]),
        ("coding-high-to-low", ["quick", "wise"]),
        ("agentic-high-to-low", ["quick", "wise"]),
        ("most-popular", ["wise", "quick"]),
        ("top-weekly", ["quick", "wise"]),
        ("latency-low-to-high", ["wise", "quick"]),
        ("throughput-high-to-low", ["quick", "wise"]),
    ],
)
def test_each_sort_orders_by_its_number(shelf: None, sort: str, found: list[str]) -> None:
    now = timezone.now()
    for model, ago, tokens, latency, took in (
        ("acme/wise", dt.timedelta(days=20), 900, 1, 1_000),
        ("acme/wise", dt.timedelta(minutes=5), 10, 100, 1_000),
        ("other/quick", dt.timedelta(minutes=5), 100, 400, 1_000),
    ):
        Generation.objects.create(
            account=account(email="user@example.com"),
            hold_id=ids.uuid7(),
            requested_model=model,
            model=model,
            status=Generation.Status.FINISHED,
            streamed=True,
            completion_tokens=tokens,
            latency_ms=latency,
            generation_ms=took,
            created_at=now - ago,
        )
    listed = catalogue.models(account_id=None, wanted=Wanted(), sort="newest")
    ordered = catalogue.ordered(listed, sort=sort, used=popularity.count(now=now))
    assert [listing.model.slug for listing in ordered] == found


def test_what_has_no_number_comes_last_whichever_way_it_goes(shelf: None) -> None:
    listed = catalogue.models(account_id=None, wanted=Wanted(), sort="newest")
    used = {"acme/wise": popularity.Popularity(latency_ms=9_999, tokens_per_s=0.1)}
    for sort in ("latency-low-to-high", "throughput-high-to-low"):
        ordered = catalogue.ordered(listed, sort=sort, used=used)
        assert [listing.model.slug for listing in ordered] == ["wise", "quick"], sort
