"""Endpoints agree with their provider's list: new ones hidden, prices dated, the missing switched off in time."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from marketplace.catalogue.listing import Listed
from marketplace.lib.errors import Conflict
from marketplace.models import Endpoint, Model, Notice, Price, Provider, Publisher
from marketplace.services import endpoints, listings, prices
from tests.factories.marketplace import ModelFactory, ProviderFactory, account

pytestmark = pytest.mark.django_db

ENTRY = Listed(
    "llama-70b",
    model="meta/llama-70b",
    name="Llama 70B",
    context_length=8_000,
    parameters=("temperature",),
    prices={"prompt": 100, "completion": 200},
)


@pytest.fixture
def provider(db: None) -> Provider:
    """A provider whose list is at nobody's address."""
    return ProviderFactory.create(slug="north", listing_url="https://north.example/models")


def follow(provider: Provider, *entries: Listed) -> listings.Reconciled:
    """What these entries change."""
    return listings.reconcile(provider, entries)


def passed(endpoint: Endpoint, *, fails: str = "") -> bool:
    """The endpoint's probe is over."""
    result = {"name": fails or "plain", "passed": not fails, "detail": "", "milliseconds": 1}
    return endpoints.judge(endpoint.pk, results=[result], at=timezone.now())


def only() -> Endpoint:
    """The one endpoint there is."""
    return Endpoint.objects.select_related("model__publisher", "provider").get()


def live(provider: Provider, entry: Listed = ENTRY) -> Endpoint:
    """The entry, listed and probed."""
    follow(provider, entry)
    passed(only())
    return only()


def kinds(provider: Provider) -> list[str]:
    """What the operator was told, the oldest first."""
    return [notice.kind for notice in reversed(provider.notices.all())]


def test_a_new_entry_is_hidden_until_its_probe_passes(provider: Provider) -> None:
    assert follow(provider, ENTRY).new == 1
    endpoint = only()
    assert (endpoint.is_active, endpoint.hidden, endpoint.model.visibility) == (False, "probe", "private")
    assert endpoint.probe_due_at is not None
    assert prices.snapshot(endpoint_id=endpoint.pk) == {"prompt": 100, "completion": 200}
    assert passed(endpoint)
    endpoint = only()
    assert (endpoint.is_active, endpoint.hidden, endpoint.model.visibility) == (True, "", "public")
    assert endpoint.model.context_length == 8_000
    assert kinds(provider) == ["new", "probe"]


def test_a_failed_probe_keeps_it_hidden_and_says_at_what(provider: Provider) -> None:
    follow(provider, ENTRY)
    assert not passed(only(), fails="tools")
    endpoint = only()
    assert (endpoint.is_active, endpoint.hidden, endpoint.model.visibility) == (False, "failed", "private")
    assert "failed at tools" in provider.notices.all()[0].text
    endpoints.ask_for_probe(endpoint)
    passed(endpoint)
    assert only().is_active


def test_the_same_list_again_changes_nothing(provider: Provider) -> None:
    live(provider)
    before = Price.objects.count(), Notice.objects.count()
    assert follow(provider, ENTRY) == listings.Reconciled()
    assert (Price.objects.count(), Notice.objects.count()) == before


def test_what_left_the_list_is_not_shown_again_by_a_probe_nor_by_its_operator(provider: Provider) -> None:
    provider.account.roles = ["operator"]
    provider.account.save()
    endpoint = live(provider)
    for _ in range(endpoints.MISSES_UNTIL_VANISHED):
        follow(provider)
    endpoints.ask_for_probe(only())
    assert only().probe_due_at is not None
    assert passed(endpoint)
    assert (only().is_active, only().hidden) == (False, "vanished")
    with pytest.raises(Conflict, match="list it again"):
        endpoints.enable(only())
    endpoints.disable(only())
    with pytest.raises(Conflict, match="list it again"):
        endpoints.enable(only())
    follow(provider, ENTRY)
    endpoints.enable(only())
    passed(endpoint)
    assert only().is_active


def test_a_new_price_is_a_dated_row_and_told(provider: Provider) -> None:
    endpoint = live(provider)
    assert follow(provider, replace(ENTRY, prices={"prompt": 150, "completion": 200})).repriced == 1
    rows = [
        (row.unit, row.nano_per_million, row.effective_to is None) for row in prices.history(endpoint_ids=[endpoint.pk])
    ]
    assert sorted(rows) == [("completion", 200, True), ("prompt", 100, False), ("prompt", 150, True)]
    assert provider.notices.all()[0].text == "meta/llama-70b: prompt $0.0000001 → $0.00000015"


def test_a_listed_price_below_the_cost_is_refused(provider: Provider) -> None:
    endpoint = live(provider)
    prices.set_prices(endpoint=endpoint, prices={"prompt": 90}, kind=Price.Kind.COST)
    follow(provider, replace(ENTRY, prices={"prompt": 91, "completion": 1}))
    assert prices.snapshot(endpoint_id=endpoint.pk)["prompt"] == 100
    provider.refresh_from_db()
    assert "provider's share" in provider.listing_problems[0]["problem"]


def test_an_entry_is_gone_after_three_misses_and_back_after_a_probe(provider: Provider) -> None:
    live(provider)
    for _ in range(2):
        follow(provider)
        assert only().is_active
    follow(provider, ENTRY)
    assert only().misses == 0
    assert [follow(provider).vanished for _ in range(4)] == [0, 0, 1, 0]
    assert (only().is_active, only().hidden) == (False, "vanished")
    assert kinds(provider).count("vanished") == 1
    follow(provider, ENTRY)
    assert (only().is_active, only().hidden) == (False, "probe")
    passed(only())
    assert only().is_active


def test_what_is_not_ready_waits(provider: Provider) -> None:
    live(provider)
    follow(provider, replace(ENTRY, is_ready=False))
    assert (only().is_active, only().hidden, only().probe_due_at) == (False, "not_ready", None)
    follow(provider, ENTRY)
    assert only().hidden == "probe"


def test_more_is_claimed_and_holds_when_it_was_shown(provider: Provider) -> None:
    live(provider)
    more = replace(ENTRY, parameters=("temperature", "tools"), context_length=9_000)
    follow(provider, more)
    assert (only().is_active, only().parameters, only().context_length) == (True, ["temperature"], 8_000)
    assert not passed(only(), fails="tools")
    assert (only().is_active, only().parameters, only().claim) == (True, ["temperature"], {})
    follow(provider, more)
    assert passed(only())
    assert (only().parameters, only().context_length) == (["temperature", "tools"], 9_000)


def test_less_holds_at_once(provider: Provider) -> None:
    live(provider)
    follow(provider, replace(ENTRY, parameters=(), context_length=4_000))
    assert (only().is_active, only().parameters, only().context_length) == (True, [], 4_000)


def test_what_the_operator_disabled_stays_so(provider: Provider) -> None:
    endpoints.disable(live(provider))
    follow(provider, ENTRY)
    follow(provider, replace(ENTRY, parameters=("tools",)))
    assert (only().is_active, only().hidden) == (False, "disabled")
    for _ in range(4):
        follow(provider)
    assert only().hidden == "disabled"


def test_what_was_given_by_hand_is_left_alone(provider: Provider) -> None:
    endpoint = live(provider)
    Endpoint.objects.update(from_listing=False)
    for _ in range(4):
        follow(provider)
    follow(provider, replace(ENTRY, prices={"prompt": 1}))
    assert only().is_active
    assert prices.snapshot(endpoint_id=endpoint.pk)["prompt"] == 100


def test_what_cannot_be_sold_is_kept_with_its_reason(provider: Provider) -> None:
    follow(provider, ENTRY, Listed("bare", name="Bare", problem="no price is listed: set one by hand"))
    provider.refresh_from_db()
    assert provider.listing_problems == [
        {"upstream": "bare", "name": "Bare", "problem": "no price is listed: set one by hand"}
    ]


def test_a_model_is_known_by_its_name_at_hugging_face(provider: Provider) -> None:
    known = ModelFactory.create(slug="llama", facts={"hugging_face_id": "meta/Llama-70B"})
    follow(provider, replace(ENTRY, model="", hugging_face_id="meta/Llama-70B"))
    assert only().model == known


def test_nobody_lists_under_anothers_name(provider: Provider) -> None:
    alice = account(email="alice@example.com", slug="alice")
    Publisher.objects.create(slug="claimed", name="Claimed", account=alice)
    taken = [replace(ENTRY, upstream=name, model=f"{name}/x") for name in ("alice", "claimed", "turnpike", "api")]
    secret = ModelFactory.create(
        publisher=Publisher.objects.get(slug="claimed"), slug="y", facts={"hugging_face_id": "their/secret"}
    )
    hidden = replace(ENTRY, upstream="hf", model="", hugging_face_id="their/secret")
    follow(provider, *taken, hidden)
    provider.refresh_from_db()
    assert [row["upstream"] for row in provider.listing_problems] == ["alice", "claimed", "turnpike", "api"]
    assert only().model != secret


def test_a_name_of_no_author_becomes_one_of_the_providers(provider: Provider) -> None:
    follow(provider, replace(ENTRY, upstream="My Model", model=""))
    assert only().model.full_slug == "north/my-model"


class Shop:
    """A provider's web server: what it lists, how it answers, what keys it was shown."""

    def __init__(self) -> None:
        self.body = b'{"data": []}'
        self.status = 200
        self.location = ""
        self.keys: list[str | None] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.keys.append(self.headers["authorization"])
                self.send_response(302 if shop.location else shop.status)
                if shop.location:
                    self.send_header("location", shop.location)
                self.send_header("content-length", str(len(shop.body)))
                self.end_headers()
                self.wfile.write(shop.body)

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def shops(settings: Any) -> Iterator[list[Shop]]:
    """Two shops at listed private origins."""
    opened = [Shop(), Shop()]
    for shop in opened:
        threading.Thread(target=shop.server.serve_forever, daemon=True).start()
    settings.PRIVATE_ORIGINS = frozenset(shop.origin for shop in opened)
    yield opened
    for shop in opened:
        shop.server.shutdown()
        shop.server.server_close()


def listed_at(shop: Shop, **fields: Any) -> Provider:
    """A provider with a key, whose list is at the shop and due."""
    provider: Provider = ProviderFactory.build(
        slug="north", account=account(), base_url=f"http://{shop.origin}/v1", listing_url=f"http://{shop.origin}/list"
    )
    provider.listing_due_at = timezone.now()
    for name, value in fields.items():
        setattr(provider, name, value)
    provider.seal({"api_key": "north-key"})
    provider.save()
    return provider


@pytest.mark.enable_socket
class TestFetching:
    def test_a_list_is_fetched_once_it_is_due_and_not_again(self, shops: list[Shop]) -> None:
        provider = listed_at(shops[0])
        now = timezone.now()
        assert [listings.fetch_due(now=now), listings.fetch_due(now=now)] == [1, 0]
        assert shops[0].keys == ["Bearer north-key"]
        provider.refresh_from_db()
        assert (provider.listing_error, provider.listing_problems) == ("", [])
        assert listings.fetch_due(now=now + listings.EVERY + dt.timedelta(seconds=1)) == 1

    def test_the_key_goes_to_its_own_origin_only(self, shops: list[Shop]) -> None:
        listings.refresh(listed_at(shops[0], slug="other", base_url="http://127.0.0.1:9/v1"))
        shops[0].location = f"http://{shops[1].origin}/list"
        listings.refresh(listed_at(shops[0]))
        assert [shops[0].keys, shops[1].keys] == [[None, "Bearer north-key"], [None]]

    def test_a_list_that_cannot_be_read_changes_nothing_and_is_told_once(self, shops: list[Shop]) -> None:
        provider = listed_at(shops[0])
        endpoint = live(provider)
        for status, body in ((500, b""), (500, b""), (200, b"<html>")):
            shops[0].status, shops[0].body = status, body
            provider.refresh_from_db()
            assert listings.refresh(provider) is None
        provider.refresh_from_db()
        assert provider.listing_error == "the answer is no JSON"
        assert kinds(provider).count("listing") == 2
        endpoint.refresh_from_db()
        assert (endpoint.is_active, endpoint.misses) == (True, 0)

    def test_private_addresses_are_called_only_where_the_installation_lists_them(
        self, shops: list[Shop], settings: Any
    ) -> None:
        provider = listed_at(shops[0])
        settings.PRIVATE_ORIGINS = frozenset()
        assert listings.refresh(provider) is None
        provider.refresh_from_db()
        assert "private origins" in provider.listing_error
        assert shops[0].keys == []

    def test_lists_of_disabled_providers_rest(self, shops: list[Shop]) -> None:
        listed_at(shops[0], is_active=False)
        assert listings.fetch_due() == 0


def test_a_private_model_of_an_author_stays_private(provider: Provider) -> None:
    own = Publisher.objects.create(slug="own", name="Own", account=provider.account)
    ModelFactory.create(publisher=own, slug="x", visibility="private")
    live(provider, replace(ENTRY, model="own/x"))
    assert Model.objects.get(slug="x").visibility == "private"
