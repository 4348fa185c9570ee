"""The page of one generation."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from billing import rating
from billing.services import holds
from marketplace.lib import ids
from marketplace.models import User
from routing.canonical import ProviderPreferences
from routing.models import Attempt, Generation
from routing.selection.plan import plan
from routing.selection.router import Policy, Router
from routing.services import records
from tests.factories.billing import fund
from tests.factories.marketplace import PASSWORD, EndpointFactory, account
from tests.routing.selection.test_plan import CHEAP, MIDDLE, NEED

pytestmark = pytest.mark.django_db


@pytest.fixture
def generation(alice: Client) -> Generation:
    """Alice's: the first provider was silent, the second answered, 1,000 tokens in and 7 out."""
    owner = account(email="alice@example.com")
    fund(owner, "1.00")
    endpoint = EndpointFactory.create()
    made = ids.uuid7()
    rated = rating.rate({"prompt": 10**9, "completion": 2 * 10**9}, {"prompt": 1000, "completion": 7})
    hold = holds.place(
        account_id=owner.pk,
        key_id=None,
        amount_nano=rated.amount_nano,
        kind="chat",
        reference=str(made),
        expires_in=dt.timedelta(minutes=1),
    )
    holds.settle(hold_id=hold.pk, rated=rated, labels={"model": "acme/one"})
    row = Generation.objects.create(
        id=made,
        account=owner,
        hold_id=hold.pk,
        requested_model="acme/one",
        model="acme/one",
        provider=endpoint.provider,
        status=Generation.Status.FINISHED,
        streamed=True,
        prompt_tokens=1000,
        completion_tokens=7,
        cost_nano=rated.amount_nano,
        finish_reason="stop",
        latency_ms=210,
    )
    Attempt.objects.create(
        generation=row, position=0, provider_name="Silent", model="acme/one", error_kind="timeout", latency_ms=30_000
    )
    Attempt.objects.create(generation=row, position=1, provider_name="Talker", model="acme/one", latency_ms=210)
    return row


@pytest.mark.parametrize("name", ["public_id", "pk"])
def test_it_tells_who_was_asked_in_order_and_what_it_cost(alice: Client, generation: Generation, name: str) -> None:
    page = alice.get(f"/generations/{getattr(generation, name)}").content.decode()
    assert page.index("Silent for too long") < page.index("Talker")
    assert "Answered" in page
    assert "$0.001014" in page
    assert "30,000 ms" in page
    lines = re.findall(r'data-label="Amount">([^<]+)</td>', page)
    assert lines == ["$0.001", "$0.000014"]
    assert re.search(r"Given back</dt><dd[^>]*>\$0.00</dd>", page)


def test_the_usage_page_links_to_it(alice: Client, generation: Generation) -> None:
    assert f"/generations/{generation.pk}" in alice.get("/usage").content.decode()


@pytest.mark.parametrize("wrong", ["gen-1", "nonsense", "gen-1700000000-0000000000000000000000", "x" * 300])
def test_what_does_not_exist_is_404(alice: Client, generation: Generation, wrong: str) -> None:
    assert alice.get(f"/generations/{wrong}").status_code == 404


def test_a_strangers_is_404(charlie: Client, generation: Generation) -> None:
    assert charlie.get(f"/generations/{generation.public_id}").status_code == 404


def test_it_asks_for_log_in(client: Client, generation: Generation) -> None:
    assert client.get(f"/generations/{generation.public_id}").status_code == 302


def test_the_page_shows_what_was_weighed_and_that_the_choice_replays(alice: Client, generation: Generation) -> None:
    generation.choice = _record()
    generation.save()
    page = alice.get(f"/generations/{generation.public_id}").content.decode()
    assert "What was weighed" in page
    assert "It was expected to cost least" in page
    assert "Made again from this record, the choice is the same." in page
    assert "Dear was left out: in provider.ignore." in page


def test_an_answer_that_broke_off_is_no_success_and_a_name_that_is_no_model_is_told(
    alice: Client, generation: Generation
) -> None:
    generation.choice = _record() | {"unknown": ["acme/nobody"]}
    generation.status, generation.error_kind = Generation.Status.FAILED, "cut"
    generation.save()
    page = alice.get(f"/generations/{generation.public_id}").content.decode()
    assert "Broke off midway" in page
    assert "acme/nobody: no such model here, so passed over." in page


def test_a_record_that_was_changed_no_longer_replays(generation: Generation) -> None:
    generation.choice = _record()
    generation.choice["choice"]["endpoints"][0]["parts"]["price"] = 1e12
    found = records.why(generation)
    assert found is not None
    assert not found.replays


def _record() -> dict[str, Any]:
    cheap = replace(CHEAP, provider_name="Cheap")
    dear = replace(CHEAP, endpoint_id=3, provider="dear", provider_name="Dear")
    middle = replace(MIDDLE, provider_name="Middle")
    wishes = ProviderPreferences(ignore=("dear",))
    chosen = plan(
        groups=[(cheap, middle, dear)], need=NEED, preferences=wishes, router=Router(policy=Policy(explores=False)),
        now=1.0, seed="seed",
    )  # fmt: skip
    return chosen.record()


def test_the_wallets_history_leads_to_it(alice: Client, generation: Generation) -> None:
    assert f'<a href="/generations/{generation.pk}">' in alice.get("/credits").content.decode()


def test_one_whose_gateway_ended_is_told_as_interrupted(alice: Client, generation: Generation) -> None:
    Generation.objects.update(status=Generation.Status.SWEPT)
    page = alice.get(f"/generations/{generation.pk}").content.decode()
    assert ">interrupted<" in page
    assert "swept" not in page


def test_staff_find_a_generation_by_its_id_and_see_what_came_of_it_but_change_nothing(
    client: Client, generation: Generation
) -> None:
    client.force_login(User.objects.create_superuser("staff@example.com", PASSWORD))
    other = Generation.objects.create(account=generation.account, hold_id=ids.uuid7(), streamed=False)
    listed = client.get("/staff/routing/generation/", {"q": generation.public_id}).content.decode()
    assert generation.public_id in listed
    assert other.public_id not in listed
    assert other.public_id in client.get("/staff/routing/generation/", {"q": "alice"}).content.decode()
    page = client.get(f"/staff/routing/generation/{generation.pk}/change/").content.decode()
    for said in ("Silent for too long", "Talker", "1,000 input tokens", "$0.001014", "alice"):
        assert said in page, said
    assert client.post(f"/staff/routing/generation/{generation.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/staff/routing/generation/{generation.pk}/change/", {"model": "x"}).status_code == 403
