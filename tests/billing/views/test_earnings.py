"""The pages of earnings and of the margin: who sees them and what they say."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.models import Account
from tests.cast import act_for, logged_in
from tests.factories import marketplace as make
from tests.factories.billing import fund, sell

MONTH = f"{timezone.now():%Y-%m}"


@pytest.fixture
def sold(shop: Account) -> Account:
    """Charlie has paid the shop two dollars for a model of its own and one for an endpoint."""
    caller = make.account(email="caller@example.com", slug="caller")
    fund(caller, "10.00")
    sell(caller, "2.00", to=shop, side="publisher_payable", bps=1_000, model="shop/faces")
    sell(caller, "1.00", to=shop, model="acme/one", provider="shops", endpoint=4711)
    return shop


def test_the_page_says_what_is_owed_and_leads_to_the_month(alice: Client, sold: Account) -> None:
    act_for(alice, "shop")
    text = alice.get("/earnings").content.decode()
    for seen in ("$1.15", "Still in delay", "7 whole days", f"/earnings/{MONTH}"):
        assert seen in text
    text = alice.get(f"/earnings/{MONTH}").content.decode()
    for seen in ("shop/faces", "hosted here", "$1.80", "$0.20", "acme/one", "endpoint 4711", "$0.95", "$0.05"):
        assert seen in text


def test_the_file_has_a_row_for_each_day_and_model(alice: Client, sold: Account) -> None:
    act_for(alice, "shop")
    answer = alice.get(f"/earnings/{MONTH}.csv")
    assert f"turnpike-earnings-shop-{MONTH}.csv" in answer.headers["Content-Disposition"]
    text = answer.content.decode()
    assert f"{timezone.now():%Y-%m-%d},charge,provider,acme/one,shops,4711,1,1.00,0.05,0.95" in text
    assert ",charge,royalty,shop/faces,,,1,2.00,1.80,0.20" in text


def test_members_who_do_not_manage_see_none_and_others_have_none(bob: Client, charlie: Client, sold: Account) -> None:
    act_for(bob, "shop")
    assert bob.get("/earnings").status_code == 403
    assert bob.get(f"/earnings/{MONTH}.csv").status_code == 403
    assert "Nothing earned yet" in charlie.get("/earnings").content.decode()
    assert charlie.get(f"/earnings/{MONTH}").status_code == 404


def test_staff_see_the_margin_and_nobody_else(alice: Client, sold: Account) -> None:
    assert alice.get("/margin").status_code == 404
    assert "/margin" not in alice.get("/earnings").content.decode()
    user = make.user("staff@example.com")
    make.account(email=user.email, slug="staff-own")
    user.is_staff = True
    user.save()
    staff = logged_in(user.email)
    assert f"/margin/{MONTH}" in staff.get("/margin").content.decode()
    text = staff.get(f"/margin/{MONTH}").content.decode()
    for seen in ("$3.00", "shop/faces", "acme/one", "$1.85", "Promotional credit given", "−$8.15"):
        assert seen in text
    assert staff.get("/margin/2026-13").status_code == 404
