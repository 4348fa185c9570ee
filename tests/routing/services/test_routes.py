"""The endpoints of the catalogue as the choice sees them."""

from __future__ import annotations

import pytest

from marketplace.models import Endpoint, Provider
from routing.services.routes import known_models, routes
from tests.factories.routing import buyer, endpoint, model

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/v1"


def only(names: list[str]) -> list[list[str]]:
    found = routes(known_models(names, account_id=buyer().account.pk))
    return [[route.candidate.provider for route in group] for group in found]


def test_models_keep_the_callers_order_and_unknown_ones_are_left_out() -> None:
    endpoint(URL, provider="sim-one")
    endpoint(URL, provider="sim-two", model_slug="acme/large")
    assert only(["acme/large", "acme/none", "acme/small"]) == [["sim-two"], ["sim-one"]]


def test_what_is_switched_off_or_speaks_an_unknown_dialect_is_left_out() -> None:
    model()
    for slug in ("sim-well", "sim-off", "sim-gone", "sim-odd", "sim-lost"):
        endpoint(URL, provider=slug)
    Endpoint.objects.filter(provider__slug="sim-off").update(is_active=False)
    Provider.objects.filter(slug="sim-gone").update(is_active=False)
    Provider.objects.filter(slug="sim-odd").update(dialect="klingon")
    Provider.objects.filter(slug="sim-lost").update(sealed_credentials="not ours")
    assert only(["acme/small"]) == [["sim-well"]]


@pytest.mark.parametrize(
    ("policy", "collects", "keeps_nothing"),
    [
        ({}, True, False),
        ({"retains": True}, True, False),
        ({"trains": True, "retains": False}, True, False),
        ({"retains": False, "trains": False, "zdr": True}, False, True),
    ],
)
def test_a_silent_provider_is_taken_to_keep_what_it_is_sent(
    policy: dict[str, bool], collects: bool, keeps_nothing: bool
) -> None:
    endpoint(URL, policy=policy)
    ((route,),) = routes(known_models(["acme/small"], account_id=buyer().account.pk))
    assert (route.candidate.collects_data, route.candidate.keeps_nothing) == (collects, keeps_nothing)
    assert route.target.credentials == {"api_key": "simulated"}
    assert route.candidate.prices == {"prompt": 150_000_000, "completion": 600_000_000}
