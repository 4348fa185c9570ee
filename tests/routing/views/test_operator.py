"""The operator's pages: a provider registered, its models offered, priced, probed, switched and retired."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.models import Account, Endpoint, Model, Price, Provider
from marketplace.services import endpoints, operators, prices
from routing.models import Generation
from tests.cast import act_for
from tests.factories import routing as routed

pytestmark = pytest.mark.django_db
ORIGIN = "127.0.0.1:9"
NORTH = {
    "name": "North",
    "slug": "north",
    "dialect": "generic",
    "base_url": f"http://{ORIGIN}/v1",
    "credentials": "north-secret",
    "zdr": "on",
    "region": "eu",
}
LLAMA = {
    "model": "meta/llama-70b",
    "upstream": "llama",
    "kind": "chat",
    "prompt": "0.15",
    "completion": "0.60",
    "context_length": "8000",
    "parameters": "max_tokens",
    "capabilities": ["tools", "image"],
}


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    """The fields of the table of models, with rows that were left empty behind those given."""
    empty = {"kind": "chat", "parameters": "max_tokens temperature top_p stop"}
    filled = [*rows, *([empty] * (3 - len(rows)))]
    fields = {f"models-{place}-{name}": value for place, row in enumerate(filled) for name, value in row.items()}
    return fields | {"models-TOTAL_FORMS": len(filled), "models-INITIAL_FORMS": 0}


@pytest.fixture
def ann(alice: Client, settings: Any) -> Client:
    """Alice, an operator, with one private origin that may be called."""
    settings.PRIVATE_ORIGINS = frozenset({ORIGIN})
    Account.objects.filter(slug="alice").update(roles=["developer", "operator"])
    return alice


@pytest.fixture
def north(ann: Client) -> Endpoint:
    """A model at a provider, as its operator registers them."""
    answer = ann.post("/operate/register", NORTH | table(LLAMA))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/operate/providers/north")
    return Endpoint.objects.select_related("provider", "model__publisher").get()


def text(client: Client, path: str) -> str:
    """A page that is there."""
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def show(endpoint: Endpoint, *, passed: bool = True) -> None:
    """Its probe is over."""
    result = {
        "name": "plain",
        "passed": passed,
        "detail": "" if passed else "The answer has no text.",
        "milliseconds": 7,
    }
    endpoints.judge(endpoint.pk, results=[result], at=timezone.now())


def test_who_is_no_operator_learns_how_to_become_one(alice: Client) -> None:
    page = text(alice, "/operate")
    assert "Become an operator" in page
    assert "grant_role alice operator" in page
    assert alice.get("/operate/register").status_code == 403
    assert alice.post("/operate/register", NORTH | table(LLAMA)).status_code == 403
    assert not Provider.objects.exists()


def test_a_provider_is_registered_with_its_models(ann: Client, north: Endpoint) -> None:
    assert north.provider.credentials() == {"api_key": "north-secret"}
    assert north.provider.policy == {"zdr": True, "region": "eu"}
    assert (north.hidden, north.parameters, north.input_modalities) == (
        "probe", ["max_tokens", "tools"], ["text", "image"],
    )  # fmt: skip
    assert prices.snapshot(endpoint_id=north.pk) == {"prompt": 150_000_000, "completion": 600_000_000}
    for path in ("/operate", "/operate/providers/north", f"/operate/endpoints/{north.pk}"):
        assert "north-secret" not in text(ann, path)
    page = text(ann, "/operate/providers/north")
    for shown in ("meta/llama-70b", "waits for its probe", "every 2s", "kept:", "zero retention"):
        assert shown in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"base_url": "http://10.0.0.1/v1"}, "private origins"),
        ({"base_url": "https://169.254.169.254/v1"}, "link-local"),
        ({"slug": "No Slug"}, "lower-case"),
        ({"name": ""}, "required"),
        ({"credentials": "env:DATABASE_URL"}, "give the secret itself"),
        ({"credentials": '{"api_key": 1}'}, "each a text in quotes"),
        ({"credentials": '{"api_key'}, "no JSON object"),
        ({"retains": "on"}, "tick one or the other"),
        ({"models-0-prompt": "cheap"}, "prompt"),
        ({"models-0-prompt": "", "models-0-completion": ""}, "at least one price"),
        ({"models-0-others": "gold 3"}, "no price that we know"),
        ({"models-0-model": "llama"}, "publisher/model"),
        ({"models-0-model": "turnpike/llama"}, "another"),
        ({"models-0-context_length": ""}, "required"),
        ({"models-0-max_output": "9000"}, "more than context_length"),
    ],
)
def test_bad_input_keeps_what_was_typed_and_stores_nothing(ann: Client, wrong: dict[str, Any], said: str) -> None:
    answer = ann.post("/operate/register", NORTH | table(LLAMA) | wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'role="alert"' in page
    assert said in page
    assert 'value="eu"' in page  # what was typed
    assert 'value="llama"' in page
    assert "north-secret" not in page
    assert not Provider.objects.exists()
    assert not Endpoint.objects.exists()


def test_a_name_that_is_taken_is_said_at_its_field(ann: Client, north: Endpoint) -> None:
    answer = ann.post("/operate/register", NORTH | table())
    assert answer.status_code == 422
    assert "choose another slug" in answer.content.decode()


def test_further_models_are_offered_all_or_none(ann: Client, north: Endpoint) -> None:
    ranker = LLAMA | {"model": "meta/ranker", "upstream": "ranker", "kind": "rerank", "others": "search_unit 0.002"}
    again = ann.post("/operate/providers/north/models", table(ranker, LLAMA))
    assert again.status_code == 422
    assert "already" in again.content.decode()
    assert Endpoint.objects.count() == 1
    assert ann.post("/operate/providers/north/models", table(ranker)).status_code == 302
    made = Endpoint.objects.get(upstream="ranker")
    assert (made.input_modalities, made.output_modalities, made.parameters) == (["text"], ["rerank"], [])
    assert prices.snapshot(endpoint_id=made.pk)["search_unit"] == 2_000_000_000_000
    Price.objects.filter(endpoint=made).exclude(unit="search_unit").delete()
    assert "$0.002" in text(ann, "/operate/providers/north")


def test_a_name_that_is_new_and_nearly_anothers_is_told(ann: Client, north: Endpoint) -> None:
    name = north.model.full_slug
    Model.objects.update(visibility=Model.Visibility.PUBLIC)  # its probe has passed
    ann.post("/operate/providers/north/models", table(LLAMA | {"model": f"{name}b", "upstream": "one"}))
    page = text(ann, "/operate/providers/north")
    assert f"{name}b is new here, so nobody asks for it yet. Did you mean {name}?" in page
    ann.post("/operate/providers/north/models", table(LLAMA | {"model": "qwen/qwen3-8b", "upstream": "two"}))
    assert "is new here" not in text(ann, "/operate/providers/north")


def test_what_a_probe_showed_is_told_per_capability(ann: Client, north: Endpoint) -> None:
    path = f"/operate/endpoints/{north.pk}"
    assert "the probe is under way" in text(ann, path)
    show(north, passed=False)
    page = text(ann, path)
    assert "failed its probe" in page
    assert "The answer has no text." in page
    assert "every 2s" not in page
    ann.post(f"{path}/probe")
    part = ann.get(path, headers={"hx-request": "true"}).content.decode()
    assert part.startswith("<section")
    assert "every 2s" in part
    show(north)
    assert "shown" in ann.get(path, headers={"hx-request": "true"}).content.decode()
    assert 'href="/meta/llama-70b"' in text(ann, path)


def test_a_price_is_a_new_dated_row(ann: Client, north: Endpoint) -> None:
    path = f"/operate/endpoints/{north.pk}"
    assert ann.post(f"{path}/price", {"prompt": "0.2", "others": "cached_read 0.01"}).status_code == 302
    assert prices.snapshot(endpoint_id=north.pk) == {"prompt": 200_000_000, "cached_read": 10_000_000}
    page = text(ann, path)
    assert "$0.15" in page
    assert "$0.20" in page
    wrong = ann.post(f"{path}/price", {"prompt": "a lot", "others": "cached_read 0.01"})
    assert wrong.status_code == 422
    assert 'value="a lot"' in wrong.content.decode()
    assert ann.post(f"{path}/price", {"prompt": ""}).status_code == 422
    assert prices.snapshot(endpoint_id=north.pk) == {"prompt": 200_000_000, "cached_read": 10_000_000}


def test_prices_under_conditions_are_written_beside_the_others(ann: Client, north: Endpoint) -> None:
    path = f"/operate/endpoints/{north.pk}"
    given = {"prompt": "0.2", "completion": "0.8", "others": "prompt>200000 0.4, completion@1630-0030 0.4"}
    assert ann.post(f"{path}/price", given).status_code == 302
    assert prices.snapshot(endpoint_id=north.pk)["prompt>200000"] == 400_000_000
    page = text(ann, path)
    assert "prompt, above 200,000 prompt tokens" in page
    assert "completion, 16:30 to 00:30 UTC" in page
    wrong = ann.post(f"{path}/price", {"prompt": "0.2", "others": "completion>5 1"})
    assert wrong.status_code == 422
    assert "name the price that holds otherwise" in wrong.content.decode()


def test_an_endpoint_is_switched_off_and_on(ann: Client, north: Endpoint) -> None:
    show(north)
    path = f"/operate/endpoints/{north.pk}"
    ann.post(f"{path}/switch", {"to": "off"})
    assert "switched off" in text(ann, path)
    ann.post(f"{path}/switch", {"to": "on"})
    assert Endpoint.objects.get().hidden == "probe"


def test_what_vanished_says_so_and_is_not_switched_on(ann: Client, north: Endpoint) -> None:
    Provider.objects.update(listing_url="https://north.example/models")
    Endpoint.objects.update(from_listing=True, hidden="vanished", misses=3, probe_due_at=None)
    path = f"/operate/endpoints/{north.pk}"
    assert "no longer has it" in text(ann, path)
    answer = ann.post(f"{path}/switch", {"to": "on"}, follow=True)
    assert "list it again" in answer.content.decode()
    assert Endpoint.objects.get().hidden == "vanished"


def test_credentials_are_replaced_and_told_by_fingerprint(ann: Client, north: Endpoint) -> None:
    before = operators.fingerprints(north.provider)["api_key"]
    answer = ann.post("/operate/providers/north/credentials", {"credentials": "other-secret"}, follow=True)
    page = answer.content.decode()
    assert Provider.objects.get().credentials() == {"api_key": "other-secret"}
    assert "other-secret" not in page
    assert before not in page
    wrong = ann.post("/operate/providers/north/credentials", {"credentials": "kept:0123"})
    page = wrong.content.decode()
    assert (wrong.status_code, "give the secret itself" in page) == (422, True)
    assert 'hx-get="/operate/providers/north?page=1"' in page  # the form's own address takes no GET


def test_a_provider_is_changed_its_listing_fetched_and_retired(ann: Client, north: Endpoint) -> None:
    path = "/operate/providers/north"
    assert "no listing" in ann.post(f"{path}/refresh", follow=True).content.decode()
    listing = f"http://{ORIGIN}/v1/models"
    ann.post(f"{path}/change", {"name": "Far North", "listing_url": listing, "retains": "on", "retention_days": "3"})
    row = Provider.objects.get()
    assert (row.name, row.listing_url, row.policy) == (
        "Far North", listing, {"retains": True, "retention_days": 3},
    )  # fmt: skip
    Provider.objects.update(listing_due_at=None)
    ann.post(f"{path}/refresh")
    assert Provider.objects.get().listing_due_at is not None
    wrong = ann.post(f"{path}/change", {"name": "Farther", "listing_url": "ftp://x"})
    assert wrong.status_code == 422
    assert 'value="Farther"' in wrong.content.decode()
    assert "<h1>Far North</h1>" in wrong.content.decode()
    ann.post(f"{path}/switch")
    assert not Provider.objects.get().is_active
    assert "takes no requests" in text(ann, path)
    ann.post(f"{path}/switch")
    assert Provider.objects.get().is_active


def test_what_callers_paid_is_counted_without_their_own_keys(ann: Client, north: Endpoint) -> None:
    buyer = routed.buyer()
    for own, cost in ((False, 1_500_000), (False, 500_000), (True, 70_000_000)):
        Generation.objects.create(
            account=buyer.account, hold_id="0" * 32, requested_model="meta/llama-70b", streamed=False,
            status="finished", provider=north.provider, endpoint=north, is_byok=own, cost_nano=cost,
        )  # fmt: skip
    page = text(ann, f"/operate/endpoints/{north.pk}")
    assert "2 requests, $0.002 paid by callers" in page
    assert "$0.002" in text(ann, "/operate/providers/north")


def test_a_member_reads_and_changes_nothing(bob: Client, ann: Client, shop: Account) -> None:
    Account.objects.filter(pk=shop.pk).update(roles=["operator"])
    act_for(ann, "shop")
    ann.post("/operate/register", NORTH | table(LLAMA))
    endpoint = Endpoint.objects.get()
    act_for(bob, "shop")
    for path in ("/operate", "/operate/providers/north", f"/operate/endpoints/{endpoint.pk}"):
        page = text(bob, path)
        assert '<form method="post" action="/operate' not in page
    assert bob.post(f"/operate/endpoints/{endpoint.pk}/price", {"prompt": "0"}).status_code == 403
