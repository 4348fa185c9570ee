"""The credits page with payments on: buying, saving the rule, confirming, giving back."""

from __future__ import annotations

from django.test import Client

from billing.models import AutoTopUp, TopUp
from billing.services import auto_topups, ledger
from marketplace.models import Account
from tests.billing.conftest import Post, with_card
from tests.cast import act_for
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.charges import SCA


def own(slug: str = "alice") -> Account:
    """Alice's account."""
    return Account.objects.get(slug=slug)


def test_buying_ends_with_credit_and_a_receipt(alice: Client, stripe: FakeStripe, post: Post) -> None:
    page = alice.get("/credits")
    assert "https://checkout.stripe.com" in page.headers["Content-Security-Policy"]
    sent = alice.post("/credits/topup", {"amount": "20"})
    assert (sent.status_code, sent.headers["Location"][:28]) == (302, "https://checkout.stripe.com/")
    stripe.world.pay(TopUp.objects.get().session_id)
    stripe.deliver(post)
    text = alice.get("/credits?topup=done").content.decode()
    assert "+$20.00" in text
    assert "$1.10" in text  # the fee
    assert "Receipt" in text
    assert "Charged to Visa ending 4242" in text


def test_wrong_amounts_are_told_of_at_the_field(alice: Client, stripe: FakeStripe) -> None:
    wrong = {"1": "between $5.00", "x": "Enter a number", "5.001": "2 decimal places", "": "required"}
    for amount, words in wrong.items():
        page = alice.post("/credits/topup", {"amount": amount})
        assert page.status_code == 422
        assert words in page.content.decode()
    assert not TopUp.objects.exists()


def test_the_rule_is_saved_and_shown(alice: Client, stripe: FakeStripe) -> None:
    rule = {"is_enabled": "on", "threshold": "5", "amount": "20", "monthly_cap": "100"}
    refused = alice.post("/credits/automatic", rule)
    assert "saves the card" in refused.content.decode()
    with_card(stripe, own())
    assert alice.post("/credits/automatic", rule | {"threshold": "7.50"}).status_code == 302
    saved = AutoTopUp.objects.get()
    assert (saved.is_enabled, saved.threshold_nano) == (True, 7_500_000_000)
    assert 'value="7.5' in alice.get("/credits").content.decode()


def test_a_payment_that_the_bank_asks_about_is_confirmed_from_the_page(alice: Client, stripe: FakeStripe) -> None:
    with_card(stripe, own(), SCA)
    made = auto_topups.top_up_automatically(own().pk)
    assert made is not None
    assert "Confirm at the bank" in alice.get("/credits").content.decode()
    sent = alice.post(f"/credits/{made.pk}/finish")
    assert sent.headers["Location"].startswith("https://hooks.stripe.com/")


def test_unused_credit_is_refunded_from_the_page(alice: Client, stripe: FakeStripe, post: Post) -> None:
    alice.post("/credits/topup", {"amount": "20"})
    topup = TopUp.objects.get()
    stripe.world.pay(topup.session_id)
    stripe.deliver(post)
    assert "Refund $20.00" in alice.get("/credits").content.decode()
    assert alice.post(f"/credits/{topup.pk}/refund").status_code == 302
    page = alice.get("/credits").content.decode()
    assert "on its way back" in page
    assert "−$20.00" in page
    assert ledger.wallet_of(own().pk).balance_nano == 0
    assert "to the card; banks" not in alice.post(f"/credits/{topup.pk}/refund", follow=True).content.decode()


def test_a_plain_member_sees_no_payments(alice: Client, bob: Client, shop: Account, stripe: FakeStripe) -> None:
    act_for(bob, "shop")
    assert "Continue to payment" not in bob.get("/credits").content.decode()
    assert bob.post("/credits/topup", {"amount": "20"}).status_code == 403
    assert stripe.calls == []


def test_a_frozen_wallet_says_why(alice: Client) -> None:
    ledger.freeze(account_id=own().pk, because="A payment is disputed.")
    assert "A payment is disputed." in alice.get("/credits").content.decode()
