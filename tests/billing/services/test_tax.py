"""Tax on bought credit: asked of Stripe, owed in an account of its own, given back with what it was paid on."""

from __future__ import annotations

from typing import Any

import pytest

from billing import invariants
from billing.models import AutoTopUp, LedgerAccount, TopUp
from billing.services import auto_topups, balances, refunds, topups
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.billing.conftest import Post, begin, with_card
from tests.billing.services.test_topups import CENT, agree, balance
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.server import FAIL_BEFORE


@pytest.fixture(autouse=True)
def tax(stripe: FakeStripe, settings: Any) -> None:
    """Stripe Tax is on, at 8.25 %."""
    settings.STRIPE_TAX = True
    stripe.world.tax_bps = 825


@pytest.fixture
def paid(stripe: FakeStripe, post: Post, alice: Account) -> TopUp:
    """$10 of credit, a fee of 80 cents, tax of 83 + 7 cents on them."""
    topup = begin(alice)
    stripe.world.pay(topup.session_id)
    stripe.deliver(post)
    topup.refresh_from_db()
    return topup


def owed() -> int:
    """Cents of tax that we owe."""
    return balances.of(kind=LedgerAccount.Kind.TAX_PAYABLE) // CENT


def test_tax_is_no_fee_of_ours(stripe: FakeStripe, alice: Account, paid: TopUp) -> None:
    assert (paid.tax_cents, paid.total_cents, owed()) == (90, 1170, 90)
    assert balance(alice) == 10 * NANO
    # Our fee of 80 cents less Stripe's of 2.9 % + 30 cents on $11.70.
    assert balances.of(kind=LedgerAccount.Kind.FEES) == (80 - 63) * CENT
    agree(stripe)


def test_an_automatic_charge_asks_for_the_tax_first(stripe: FakeStripe, post: Post, alice: Account) -> None:
    with_card(stripe, alice)
    made = auto_topups.top_up_automatically(alice.pk)
    assert made is not None
    assert (made.state, made.total_cents, owed()) == ("paid", 2110 + 165 + 9, 165 + 9)
    assert stripe.world.charges()[0]["amount"] == made.total_cents
    stripe.deliver(post, copies=2)
    assert (balance(alice), owed()) == (20 * NANO, 165 + 9)
    agree(stripe)


def test_an_answer_that_was_lost_is_asked_for_with_the_same_tax(stripe: FakeStripe, alice: Account) -> None:
    with_card(stripe, alice)
    made = TopUp.objects.create(account=alice, amount_cents=2000, is_automatic=True)
    stripe.fail("", FAIL_BEFORE, FAIL_BEFORE, FAIL_BEFORE)  # the tax is told, the payment is not made
    auto_topups.resume(made.created_at + 2 * topups.UNKNOWN_AFTER)
    made.refresh_from_db()
    assert (made.state, stripe.world.charges()) == ("pending", [])
    stripe.world.tax_bps = 5000  # another rate applies from now on
    auto_topups.resume(made.created_at + 2 * topups.UNKNOWN_AFTER)
    made.refresh_from_db()
    assert (made.state, made.tax_cents, len(stripe.world.charges())) == ("paid", 165, 1)
    agree(stripe)


def test_a_customer_who_lives_nowhere_is_told_so_and_not_charged(stripe: FakeStripe, alice: Account) -> None:
    customer = with_card(stripe, alice)
    stripe.world.objects[customer.customer_id]["_lives_nowhere"] = True
    made = auto_topups.top_up_automatically(alice.pk)
    assert made is not None
    assert (made.state, AutoTopUp.objects.get().failures, stripe.world.charges()) == ("failed", 1, [])
    assert "location" in made.error


def test_refunds_in_parts_give_back_the_credits_tax_to_the_cent(
    stripe: FakeStripe, post: Post, alice: Account, paid: TopUp
) -> None:
    parts = [refunds.ask(topup=TopUp.objects.get(), amount_cents=cents) for cents in (333, 333, 334)]
    # 90 cents were paid on $10.80; on the $10.00 that go back that is 83.
    assert sum(part.tax_cents for part in parts) == 83
    assert [part.tax_cents for part in parts] == [28, 28, 27]
    assert (balance(alice), owed()) == (0, 7)
    assert sum(-one["amount"] for one in movements(stripe, "refund")) == 1083
    stripe.deliver(post, copies=2)
    agree(stripe)


def test_a_refund_that_fails_is_owed_again_with_its_tax(
    stripe: FakeStripe, post: Post, alice: Account, paid: TopUp
) -> None:
    made = refunds.ask(topup=paid, amount_cents=500)
    assert owed() == 90 - 42
    stripe.world.fail_refund(made.refund_id or "")
    stripe.deliver(post, copies=2)
    paid.refresh_from_db()
    assert (balance(alice), owed(), paid.refunded_tax_cents) == (10 * NANO, 90, 0)
    agree(stripe)


@pytest.mark.parametrize("fails", [False, True])
def test_all_of_a_payment_sent_back_at_stripe_is_all_of_its_parts(
    stripe: FakeStripe, post: Post, alice: Account, paid: TopUp, fails: bool
) -> None:
    made = stripe.world.create_refund({"payment_intent": paid.payment_intent_id})
    stripe.deliver(post, copies=2)
    assert (balance(alice), owed()) == (0, 0)
    assert balances.of(kind=LedgerAccount.Kind.FEES) == -63 * CENT
    agree(stripe)
    if fails:
        stripe.world.fail_refund(made["id"])
        stripe.deliver(post)
        assert (balance(alice), owed()) == (10 * NANO, 90)
        assert balances.of(kind=LedgerAccount.Kind.FEES) == (80 - 63) * CENT
        agree(stripe)


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_takes_the_tax_along(stripe: FakeStripe, post: Post, alice: Account, paid: TopUp, won: bool) -> None:
    dispute_id = stripe.world.dispute(paid.payment_intent_id or "")
    stripe.deliver(post, copies=2)
    assert (balance(alice), owed()) == (0, 0)
    agree(stripe)
    stripe.world.judge(dispute_id, won=won)
    stripe.deliver(post, copies=2)
    assert (balance(alice), owed()) == ((10 * NANO, 90) if won else (0, 0))
    agree(stripe)


def test_tax_that_was_booked_elsewhere_is_noticed(paid: TopUp) -> None:
    TopUp.objects.update(tax_cents=89)
    assert [one.check for one in invariants.run()] == ["tax_equals_its_payments"]


def test_without_the_setting_nothing_is_asked(stripe: FakeStripe, settings: Any, alice: Account) -> None:
    settings.STRIPE_TAX = False
    with_card(stripe, alice)
    auto_topups.top_up_automatically(alice.pk)
    assert ("post", "/v1/tax/calculations") not in stripe.calls
    assert owed() == 0


def movements(stripe: FakeStripe, kind: str) -> list[dict[str, Any]]:
    """Lines of Stripe's books."""
    lines = [one for one in stripe.world.objects.values() if one["object"] == "balance_transaction"]
    return [one for one in lines if one["type"] == kind]
