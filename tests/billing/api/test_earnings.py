"""/api/v1/earnings: what a program of a publisher or operator reads of its months."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from tests.billing.api.test_keys import Manager
from tests.factories.billing import fund, sell
from tests.factories.marketplace import account

pytestmark = pytest.mark.django_db
MONTH = f"{timezone.now():%Y-%m}"


@pytest.fixture
def shop() -> Manager:
    """A shop that earned a royalty of $0.20 and $0.95 with an endpoint."""
    made, caller = account(email="shop@example.com"), account(email="caller@example.com")
    fund(caller, "10.00")
    sell(caller, "2.00", to=made, side="publisher_payable", bps=1_000, model="shop/faces")
    sell(caller, "1.00", to=made, model="acme/one", provider="shops", endpoint=4711)
    return Manager(made)


def test_the_months_and_how_the_account_stands(shop: Manager) -> None:
    status, told = shop.ask("GET", "/earnings")
    assert status == 200
    assert told == {
        "owed": 1.15, "in_delay": 1.15, "reserved": 0.0, "ready": 0.0,
        "data": [{"month": MONTH, "earned": 1.15, "paid": 0.0}],
    }  # fmt: skip


def test_a_months_lines_add_up_to_what_was_earned(shop: Manager) -> None:
    status, told = shop.ask("GET", f"/earnings/{MONTH}")
    assert status == 200
    month = told["data"]
    lines = month.pop("lines")
    assert month == {
        "month": MONTH, "is_over": False, "opening": 0.0, "earned": 1.15, "paid": 0.0, "closing": 1.15
    }  # fmt: skip
    assert lines[0] == {
        "model": "acme/one", "earned_as": "provider", "provider": "shops", "endpoint_id": "4711",
        "is_correction": False, "requests": 1, "callers_paid": 1.0, "earned": 0.95,
    }  # fmt: skip
    assert (lines[1]["earned_as"], lines[1]["provider"], lines[1]["endpoint_id"]) == ("royalty", None, None)
    assert sum(Decimal(str(line["earned"])) for line in lines) == Decimal("1.15")


@pytest.mark.parametrize(("month", "status"), [("2001-01", 404), ("2026-13", 400), ("x", 400)])
def test_other_months_are_not_there(shop: Manager, month: str, status: int) -> None:
    assert shop.ask("GET", f"/earnings/{month}")[0] == status


def test_it_is_for_management_keys(shop: Manager) -> None:
    caller = Manager(account(email="other@example.com"), scopes=("inference",))
    assert caller.ask("GET", "/earnings")[0] == 403
    assert Manager(account(email="other@example.com")).ask("GET", f"/earnings/{MONTH}")[0] == 404
