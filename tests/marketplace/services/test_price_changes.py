"""A price that changed is told on the model's page, with what it was and what it is."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.models import Endpoint, Price
from marketplace.services import prices
from tests.factories.marketplace import EndpointFactory, ModelFactory, ProviderFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    """An endpoint at $1 and $2, since 200 days."""
    made: Endpoint = EndpointFactory.create(
        model=ModelFactory.create(slug="small"), provider=ProviderFactory.create(name="North")
    )
    Price.objects.update(effective_from=timezone.now() - dt.timedelta(days=200))
    return made


def test_changes_are_told_the_latest_first_and_first_prices_are_none(endpoint: Endpoint) -> None:
    now = timezone.now()
    for days, prompt in ((100, 3), (10, 4), (5, 2)):
        table = {"prompt": prompt * 10**9, "completion": 2 * 10**9}
        prices.set_prices(endpoint=endpoint, prices=table, now=now - dt.timedelta(days=days))
    found = prices.changes(endpoint_ids=[endpoint.pk], since=now - dt.timedelta(days=90))
    assert [(one.unit, one.before, one.after, one.is_rise) for one in found] == [
        ("prompt", 4 * 10**9, 2 * 10**9, False),
        ("prompt", 3 * 10**9, 4 * 10**9, True),
    ]


def test_the_models_page_shows_them(endpoint: Endpoint, client: Client) -> None:
    assert "Price changes" not in client.get("/acme/small").content.decode()
    prices.set_prices(endpoint=endpoint, prices={"prompt": 1_500_000_000, "completion": 2 * 10**9})
    page = client.get("/acme/small").content.decode()
    table = page[page.index("Price changes of the last 90 days") :]
    assert all(text in table for text in ("North", "dearer", "$1.00", "$1.50"))
