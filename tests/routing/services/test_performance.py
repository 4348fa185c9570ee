"""What a model's page shows of its providers: days counted from the record, percentiles, prices as lines."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.models import Endpoint, Price
from marketplace.services import browse, prices
from routing.models import Attempt, EndpointDay, Generation
from routing.selection.history import History, Slot, bucket_of
from routing.services import days, performance
from routing.services.health import HEALTH
from tests.factories.routing import buyer, endpoint

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 7, 15, 12, tzinfo=dt.UTC)
TODAY = NOW.date()


@pytest.fixture
def served() -> Endpoint:
    return endpoint("http://127.0.0.1:9/v1", provider="sim-one")


def tried(at: Endpoint, *outcomes: str, when: dt.datetime = NOW, status: str = "finished", **fields: Any) -> Generation:
    """A generation whose attempts went like this; a word with a number is a kind and the provider's status."""
    account = buyer(email=f"{timezone.now().timestamp()}@example.com", dollars="0").account
    made = Generation.objects.create(
        account=account, hold_id="0" * 32, requested_model="acme/small", model="acme/small", endpoint=at,
        status=status, streamed=True, created_at=when, **fields,
    )  # fmt: skip
    for position, outcome in enumerate(outcomes):
        kind, _, code = outcome.partition(" ")
        Attempt.objects.create(
            generation=made, position=position, endpoint=at, provider_name="Sim", model="acme/small",
            error_kind="" if kind == "ok" else kind, status_code=int(code) if code else None, latency_ms=1,
            is_byok=fields.get("is_byok", False),
        )  # fmt: skip
    return made


def day(at: Endpoint, when: dt.date = TODAY) -> EndpointDay:
    return EndpointDay.objects.get(endpoint=at, day=when)


def test_a_day_counts_what_was_answered_what_failed_and_what_was_refused(served: Endpoint) -> None:
    tried(served, "ok", "ok", "ok", "unavailable 503", "rate_limited 429", "unavailable 408", "invalid 400")
    days.count(now=NOW)
    found = day(served)
    assert (found.good, found.bad, found.limited) == (3, 1, 2)
    assert found.uptime == 75.0


def test_an_answer_that_broke_is_a_failure_and_an_own_key_is_nobodys_business(served: Endpoint) -> None:
    tried(served, "ok", status="failed", cost_nano=5)
    tried(served, "ok", is_byok=True, cost_nano=7, prompt_tokens=100)
    days.count(now=NOW)
    found = day(served)
    assert (found.good, found.bad, found.cost_nano) == (0, 1, 5)


def test_counting_again_changes_nothing_and_catches_up_after_a_pause(served: Endpoint) -> None:
    tried(served, "ok", when=NOW - dt.timedelta(days=3))
    days.count(now=NOW - dt.timedelta(days=3))
    tried(served, "ok", when=NOW - dt.timedelta(days=3) + dt.timedelta(hours=1))
    tried(served, "unavailable", when=NOW - dt.timedelta(days=1))
    for _ in range(2):
        days.count(now=NOW)
    assert day(served, TODAY - dt.timedelta(days=3)).good == 2
    assert day(served, TODAY - dt.timedelta(days=1)).bad == 1
    bars = days.of([served.pk], today=TODAY)[served.pk]
    assert [one.uptime if one else None for one in bars] == [None] * 26 + [100.0, None, 0.0, None]


def test_after_midnight_yesterday_is_counted_once_more(served: Endpoint) -> None:
    midnight = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
    days.count(now=midnight - dt.timedelta(minutes=1))
    tried(served, "ok", when=midnight - dt.timedelta(seconds=30))
    tried(served, "ok", when=midnight + dt.timedelta(seconds=30))
    days.count(now=midnight + dt.timedelta(minutes=1))
    tried(served, "ok", when=midnight - dt.timedelta(seconds=20))
    days.count(now=midnight + dt.timedelta(minutes=6))
    assert day(served, TODAY - dt.timedelta(days=1)).good == 2


def test_the_effective_price_is_what_the_traffic_paid() -> None:
    cheap = endpoint("http://127.0.0.1:9/v1", provider="sim-one")
    dear = endpoint("http://127.0.0.1:8/v1", provider="sim-two")
    for at, nano in [(cheap, 100_000), (cheap, 100_000), (cheap, 100_000), (dear, 900_000)]:
        tried(at, "ok", prompt_tokens=900, completion_tokens=100, cost_nano=nano)
    days.count(now=NOW)
    seen = performance.of(browse.model(full_slug="acme/small", account_id=None), now=NOW)
    assert seen.effective == 300_000_000  # three parts of 0.10 and one of 0.90 dollars a million


def price(at: Endpoint, nano: int, begin: int, end: int | None) -> Price:
    until = None if end is None else NOW - dt.timedelta(days=end)
    return Price(
        endpoint=at, unit="prompt", nano_per_million=nano, effective_from=NOW - dt.timedelta(days=begin),
        effective_to=until,
    )  # fmt: skip


def test_a_line_steps_where_the_price_changes_and_breaks_where_there_was_none(served: Endpoint) -> None:
    steps = [price(served, 100, 200, 45), price(served, 50, 45, 30), price(served, 0, 15, None)]
    drawn = performance.path(steps, since=NOW - dt.timedelta(days=90), until=NOW, top=100)
    assert drawn == "M0.0 4.0H300.0V60.0H400.0M500.0 116.0H600.0"


def test_the_page_shows_all_of_it(served: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    tried(served, *["ok"] * 9, "unavailable 500", when=now, prompt_tokens=900, completion_tokens=100, cost_nano=250_000)
    days.count(now=now)
    prices.set_prices(prices={"prompt": 100_000_000, "completion": 700_000_000}, endpoint=served)
    history = History()
    history.record(Slot(latency={bucket_of(400): 10}, throughput={bucket_of(55): 10}), now=now.timestamp())
    monkeypatch.setitem(HEALTH.histories, served.pk, history)
    page = Client().get("/acme/small").content.decode()
    assert "90.00 percent of its calls were answered" in page
    assert page.count('class="uptime-none"') == 29
    assert page.count('class="uptime-fair"') == 1
    assert "0.39 / 0.39 s" in page or "0.40 / 0.40 s" in page or "0.41 / 0.41 s" in page
    assert "$0.25/M tokens" in page
    assert page.count('class="prices-lines"') == 2
    assert "<span>$0.70</span><span>$0</span>" in page  # the axis of the higher price


def test_a_model_that_nobody_called_says_so(served: Endpoint) -> None:
    page = Client().get("/acme/small").content.decode()
    assert "Nobody has called these providers" in page
    assert "Effective price" not in page


def test_what_is_not_priced_by_tokens_has_no_price_of_a_million_of_them(served: Endpoint) -> None:
    now = timezone.now()
    tried(served, "ok", when=now, prompt_tokens=4, cost_nano=300_000)
    days.count(now=now)
    assert "Effective price" in Client().get("/acme/small").content.decode()
    Price.objects.filter(endpoint=served).delete()
    prices.set_prices(prices={"video_second": 10**14}, endpoint=served)
    page = Client().get("/acme/small").content.decode()
    assert "Effective price" not in page
    assert "Price: video second" in page
