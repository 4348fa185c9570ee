"""/api/v1/operator: a program that runs a provider."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from marketplace.models import Account, Endpoint, Model, Provider
from marketplace.services import keys, prices
from tests.factories.marketplace import account

pytestmark = pytest.mark.django_db
ORIGIN = "127.0.0.1:9"
NORTH = {
    "slug": "north",
    "name": "North",
    "dialect": "openai_chat",
    "base_url": f"http://{ORIGIN}/v1/",
    "credentials": {"api_key": "north-secret"},
    "policy": {"zdr": True, "region": "eu"},
}
OFFER = {
    "model": "meta/llama-70b",
    "upstream": "llama",
    "context_length": 8000,
    "parameters": ["tools"],
    "price": {"prompt": "0.15", "completion": "0.60"},
}


class Operator:
    """A program with a management key of an account."""

    def __init__(self, slug: str, *, is_operator: bool = True) -> None:
        self.account: Account = account(email=f"{slug}@example.com", slug=slug)
        if is_operator:
            call_command("grant_role", slug, "operator")
        _, self.key = keys.issue(account=self.account, name="manager", scopes=("management",))

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the answer."""
        client = Client(headers={"authorization": f"Bearer {self.key}"}, raise_request_exception=False)
        data = "" if body is None else json.dumps(body)
        response = client.generic(method, f"/api/v1/operator{path}", data, content_type="application/json")
        assert b"-secret" not in response.content
        return response.status_code, response.json()


@pytest.fixture
def ann(settings: Any) -> Operator:
    """An operator, with one private origin that may be called."""
    settings.PRIVATE_ORIGINS = frozenset({ORIGIN})
    return Operator("ann")


def refused(answer: tuple[int, Any]) -> tuple[int, str]:
    """The status and the message."""
    return answer[0], answer[1]["error"]["message"]


def test_a_provider_is_registered_and_its_secret_never_told(ann: Operator) -> None:
    status, got = ann.ask("POST", "/providers", NORTH)
    assert status == 201
    assert got["data"]["base_url"] == f"http://{ORIGIN}/v1"
    assert got["data"]["credentials"]["api_key"].startswith("kept:")
    provider = Provider.objects.get(slug="north")
    assert (provider.account, provider.credentials()) == (ann.account, {"api_key": "north-secret"})
    assert ann.ask("GET", "/providers")[1]["data"] == [got["data"]]
    assert refused(ann.ask("POST", "/providers", NORTH))[0] == 409


def test_only_operators_register(ann: Operator) -> None:
    status, message = refused(Operator("bob", is_operator=False).ask("POST", "/providers", NORTH))
    assert (status, "grant_role" in message) == (403, True)
    ann.ask("POST", "/providers", NORTH)
    call_command("grant_role", "ann", "operator", "--revoke")
    assert not Provider.objects.get().is_active
    for method, path, body in (
        ("PATCH", "/providers/north", {"is_active": True}),
        ("PATCH", "/providers/north", {"is_active": False, "name": "North again"}),
        ("PUT", "/providers/north/credentials", {"credentials": {"api_key": "k2"}}),
    ):
        assert refused(ann.ask(method, path, body))[0] == 403
    assert not Provider.objects.get().is_active
    with pytest.raises(CommandError, match="no account"):
        call_command("grant_role", "nobody", "operator")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dialect": "klingon"}, "dialect"),
        ({"base_url": "ftp://x/v1"}, "base_url"),
        ({"base_url": "http://127.0.0.1:10/v1"}, "private origins"),
        ({"base_url": "https://127.0.0.1/v1"}, "TURNPIKE_PRIVATE_ORIGINS"),
        ({"base_url": "https://169.254.169.254/v1"}, "link-local"),
        ({"base_url": f"http://user:password@{ORIGIN}/v1"}, "login"),
        ({"listing_url": "https://10.0.0.1/models"}, "listing_url"),
        ({"slug": "No Slug"}, "slug"),
        ({"credentials": {"api_key": "env:DATABASE_URL"}}, "give the secret itself"),
        ({"credentials": {"api_key": "kept:0123"}}, "give the secret itself"),
        ({"credentials": {"api_key": " "}}, "empty"),
        ({"policy": {"unknown": 1}}, "policy.unknown"),
    ],
)
def test_what_does_not_fit_is_named(ann: Operator, fields: dict[str, Any], said: str) -> None:
    status, message = refused(ann.ask("POST", "/providers", NORTH | fields))
    assert status in {400, 422}
    assert said in message
    assert not Provider.objects.exists()


def test_a_model_is_offered_hidden_priced_and_switched(ann: Operator) -> None:
    ann.ask("POST", "/providers", NORTH)
    status, got = ann.ask("POST", "/providers/north/endpoints", OFFER)
    assert (status, got["data"]["status"], got["data"]["price"]) == (201, "probe", OFFER["price"])
    path = f"/endpoints/{got['data']['id']}"
    assert Model.objects.get().visibility == "private"
    assert ann.ask("PATCH", path, {"price": {"prompt": "0.2"}})[1]["data"]["price"] == {"prompt": "0.20"}
    history = ann.ask("GET", f"{path}/prices")[1]["data"]
    assert [(row["unit"], row["price"], row["effective_to"] is None) for row in history] == [
        ("prompt", "0.20", True), ("prompt", "0.15", False), ("completion", "0.60", False),
    ]  # fmt: skip
    assert ann.ask("PATCH", path, {"disabled": True})[1]["data"]["status"] == "disabled"
    assert ann.ask("POST", f"{path}/probe")[1]["data"]["status"] == "disabled"
    assert ann.ask("PATCH", path, {"disabled": False})[1]["data"]["status"] == "probe"
    assert ann.ask("GET", "/providers/north/endpoints")[1]["total_count"] == 1
    assert [row["kind"] for row in ann.ask("GET", "/providers/north/notices")[1]["data"]] == ["price"]
    assert refused(ann.ask("POST", "/providers/north/endpoints", OFFER))[0] == 409
    assert refused(ann.ask("PATCH", path, {"price": {}}))[0] == 422
    assert refused(ann.ask("PATCH", path, {"price": {"prompt": "cheap"}}))[0] == 400


def test_costs_and_losses_are_not_an_operators_to_say(ann: Operator) -> None:
    ann.ask("POST", "/providers", NORTH)
    _, got = ann.ask("POST", "/providers/north/endpoints", OFFER | {"cost": {"prompt": "9"}, "allow_loss": True})
    endpoint = Endpoint.objects.get(pk=got["data"]["id"])
    assert prices.snapshot(endpoint_id=endpoint.pk, kind="cost") == {}
    prices.set_prices(endpoint=endpoint, prices={"prompt": 140_000_000}, kind="cost")
    status, message = refused(ann.ask("PATCH", f"/endpoints/{endpoint.pk}", {"price": {"prompt": "0.14"}}))
    assert (status, "provider's share" in message) == (422, True)


def test_another_address_needs_the_credentials_anew_and_new_probes(ann: Operator, settings: Any) -> None:
    settings.PRIVATE_ORIGINS = frozenset({ORIGIN, "127.0.0.1:11"})
    ann.ask("POST", "/providers", NORTH)
    ann.ask("POST", "/providers/north/endpoints", OFFER)
    Endpoint.objects.update(is_active=True, hidden="", probe_due_at=None)
    there = "http://127.0.0.1:11/v1"
    status, message = refused(ann.ask("PATCH", "/providers/north", {"base_url": there}))
    assert (status, "bound to the old address" in message) == (422, True)
    assert Endpoint.objects.get().is_active
    ann.ask("PATCH", "/providers/north", {"base_url": there, "credentials": {"api_key": "other-secret"}})
    assert Provider.objects.get().credentials() == {"api_key": "other-secret"}
    endpoint = Endpoint.objects.get()
    assert (endpoint.is_active, endpoint.hidden, endpoint.probe_due_at is None) == (False, "probe", False)


def test_credentials_are_rotated_and_what_failed_is_probed_again(ann: Operator) -> None:
    before = ann.ask("POST", "/providers", NORTH)[1]["data"]["credentials"]
    ann.ask("POST", "/providers/north/endpoints", OFFER)
    Endpoint.objects.update(hidden="failed", probe_due_at=None)
    _, got = ann.ask("PUT", "/providers/north/credentials", {"credentials": {"api_key": "new-secret"}})
    assert got["data"]["credentials"] != before
    assert Provider.objects.get().credentials() == {"api_key": "new-secret"}
    assert Endpoint.objects.get().hidden == "probe"


def test_a_listing_is_asked_for_now(ann: Operator) -> None:
    ann.ask("POST", "/providers", NORTH)
    assert refused(ann.ask("POST", "/providers/north/refresh"))[0] == 409
    ann.ask("PATCH", "/providers/north", {"listing_url": f"http://{ORIGIN}/v1/models"})
    Provider.objects.update(listing_due_at=None)
    assert ann.ask("POST", "/providers/north/refresh")[0] == 202
    assert Provider.objects.get().listing_due_at is not None


def test_a_strangers_provider_is_not_there(ann: Operator) -> None:
    ann.ask("POST", "/providers", NORTH)
    ann.ask("POST", "/providers/north/endpoints", OFFER)
    other, path = Operator("eve"), f"/endpoints/{Endpoint.objects.get().pk}"
    for method, at, body in (
        ("GET", "/providers/north", None),
        ("PATCH", "/providers/north", {"is_active": False}),
        ("PUT", "/providers/north/credentials", {"credentials": {"api_key": "eves"}}),
        ("POST", "/providers/north/refresh", None),
        ("GET", "/providers/north/endpoints", None),
        ("POST", "/providers/north/endpoints", OFFER),
        ("GET", "/providers/north/notices", None),
        ("GET", path, None),
        ("PATCH", path, {"disabled": True}),
        ("POST", f"{path}/probe", None),
        ("GET", f"{path}/prices", None),
    ):
        assert other.ask(method, at, body)[0] == 404, (method, at)
    assert other.ask("GET", "/providers")[1] == {"data": []}
