"""The pages of earnings and of the margin: who sees them and what they say."""

from __future__ import annotations

import io
from typing import Any

import pypdf
import pytest
from django.test import Client
from django.utils import timezone

from billing.gateways.stripe.connect import BankPayout
from billing.models import Recipient
from billing.services import payouts
from marketplace.models import Account
from tests.cast import act_for, logged_in
from tests.factories import marketplace as make
from tests.factories.billing import fund, sell
from tests.fakes.stripe import FakeStripe

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


def test_the_pdf_says_what_the_page_says(alice: Client, sold: Account) -> None:
    act_for(alice, "shop")
    answer = alice.get(f"/earnings/{MONTH}.pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert f"turnpike-earnings-shop-{MONTH}.pdf" in answer.headers["Content-Disposition"]
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages).replace("\0", "")
    for seen in ("so far", "Owed after", "shop/faces", "hosted here", "$0.20", "acme/one", "endpoint 4711", "$0.95"):
        assert seen in text, seen


def test_members_who_do_not_manage_see_none_and_others_have_none(bob: Client, charlie: Client, sold: Account) -> None:
    act_for(bob, "shop")
    assert bob.get("/earnings").status_code == 403
    assert bob.get(f"/earnings/{MONTH}.csv").status_code == 403
    assert bob.get(f"/earnings/{MONTH}.pdf").status_code == 403
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


def test_without_keys_payouts_are_off_and_the_page_says_how_else(alice: Client, sold: Account) -> None:
    act_for(alice, "shop")
    assert "Payouts through Stripe are off here" in alice.get("/earnings").content.decode()
    answer = alice.post("/earnings/connect", {"country": "US"})
    assert answer.status_code == 422


def test_connecting_leads_to_stripe_and_back(alice: Client, sold: Account, stripe: FakeStripe) -> None:
    act_for(alice, "shop")
    answer = alice.get("/earnings")
    assert "Connect with Stripe" in answer.content.decode()
    assert "form-action 'self' https://connect.stripe.com" in answer.headers["Content-Security-Policy"]
    assert alice.get("/earnings/connect").headers["Location"] == "/earnings"
    assert "Accounts in XX cannot be paid" in alice.post("/earnings/connect", {"country": "XX"}).content.decode()
    answer = alice.post("/earnings/connect", {"country": "kr"})
    assert answer.headers["Location"].startswith("https://connect.stripe.com/setup/")
    text = alice.get("/earnings?connect=done").content.decode()
    assert "external_account" in text
    assert "identity.later" not in text
    # Stripe's page ran out and sent the browser back.
    assert alice.get("/earnings/connect").headers["Location"].startswith("https://connect.stripe.com/setup/")
    stripe.world.onboard(Recipient.objects.get().recipient_id)
    text = alice.get("/earnings?connect=done").content.decode()
    assert "Connected. The next payout comes when $25.00 are ready." in text


def test_the_page_tells_of_payouts(alice: Client, sold: Account, stripe: FakeStripe, settings: Any) -> None:
    settings.PAYOUT_DELAY_DAYS, settings.PAYOUT_RESERVE_PERCENT, settings.PAYOUT_MIN_CENTS = 0, 0, 100
    act_for(alice, "shop")
    alice.post("/earnings/connect", {"country": "us"})
    recipient = Recipient.objects.get()
    stripe.world.onboard(recipient.recipient_id)
    stripe.world.deposit(1_000)
    text = alice.get("/earnings?connect=done").content.decode()
    assert f"{timezone.now():%Y-%m-%d}</time></strong>, <strong>$1.15</strong>" in text
    (payout,) = payouts.pay_due()
    payouts.note_bank(recipient_id=recipient.recipient_id, told=BankPayout(is_failed=True, message="It is closed."))
    text = alice.get("/earnings").content.decode()
    for seen in (payout.transfer_id, "Paid so far", "It is closed.", "$1.15"):
        assert seen
        assert seen in text
    assert "<dd>$0.00</dd>" in text  # owed
