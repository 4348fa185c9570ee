"""Bought credit: one payment is credited once, whatever tells of it, however often and in which order."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from billing import invariants
from billing.gateways.stripe import returns as returns_at_stripe
from billing.models import AutoTopUp, Customer, Delivery, InboxEvent, LedgerAccount, TopUp, Transaction, Wallet
from billing.services import (
    auto_topups,
    balances,
    credits,
    deliveries,
    disputes,
    holds,
    inbox,
    ledger,
    refunds,
    topups,
    walk,
)
from marketplace.lib.errors import Conflict, InvalidRequest, PaymentRequired, Unavailable
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.billing.conftest import BACK, Post, begin, with_card
from tests.billing.services.test_holds import cost, in_threads, place
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.charges import DECLINED, SCA
from tests.fakes.stripe.server import BUSY, CONFLICT, FAIL_AFTER, FAIL_BEFORE, HANG_UP_AFTER

CENT = 10_000_000


def balance(account: Account) -> int:
    """As it stands in the database."""
    return ledger.wallet_of(account.pk).balance_nano


def agree(fake: FakeStripe) -> None:
    """Our books are in order, and say of Stripe's what they say themselves."""
    walk.walk()
    assert invariants.run() == []
    assert -balances.of(kind=LedgerAccount.Kind.STRIPE_CLEARING) == fake.world.balance_cents() * CENT
    assert walk.difference_cents() == 0


class TestCheckout:
    """Top-ups by hand."""

    def test_a_payment_is_credited_with_its_fee_apart_and_the_card_is_saved(
        self, stripe: FakeStripe, post: Post, alice: Account
    ) -> None:
        topup = begin(alice, 1000)
        assert balance(alice) == 0
        stripe.world.pay(topup.session_id)
        stripe.deliver(post)
        topup.refresh_from_db()
        assert (topup.state, topup.fee_cents) == ("paid", 80)
        assert topup.receipt_url
        assert balance(alice) == 10 * NANO
        # Our fee of 80 cents less Stripe's of 2.9 % + 30 cents on $10.80.
        assert balances.of(kind=LedgerAccount.Kind.FEES) == (80 - 61) * CENT
        assert Customer.objects.get().card == "Visa ending 4242"
        agree(stripe)

    @pytest.mark.parametrize("seed", range(4))
    def test_number_and_order_of_webhooks_do_not_matter(
        self, stripe: FakeStripe, post: Post, alice: Account, seed: int
    ) -> None:
        for _ in range(2):
            stripe.world.pay(begin(alice).session_id)
        stripe.deliver(post, copies=3, shuffled=random.Random(seed))
        assert balance(alice) == 20 * NANO
        assert Transaction.objects.filter(kind="topup").count() == 2
        agree(stripe)

    def test_a_lost_webhook_is_found_by_the_walk(self, stripe: FakeStripe, post: Post, alice: Account) -> None:
        stripe.world.pay(begin(alice).session_id)
        stripe.deliver(post, drop=lambda kind: True)
        assert balance(alice) == 0
        assert walk.walk().missed > 0
        assert balance(alice) == 10 * NANO
        assert walk.walk().missed == 0

    def test_an_event_that_failed_is_applied_later(
        self, stripe: FakeStripe, post: Post, alice: Account, settings: Any
    ) -> None:
        stripe.world.pay(begin(alice).session_id)
        settings.STRIPE_API_BASE = "http://127.0.0.1:9"
        stripe.deliver(post, drop=lambda kind: kind != "payment_intent.succeeded")
        assert balance(alice) == 0
        assert InboxEvent.objects.get().attempts == 1
        settings.STRIPE_API_BASE = stripe.url
        assert inbox.work_off() == 1
        assert (balance(alice), InboxEvent.objects.get().is_done) == (10 * NANO, True)

    def test_a_page_that_was_left_is_canceled(self, stripe: FakeStripe, post: Post, alice: Account) -> None:
        topup = begin(alice)
        stripe.world.leave(topup.session_id)
        stripe.deliver(post)
        topup.refresh_from_db()
        assert (topup.state, balance(alice)) == ("canceled", 0)

    @pytest.mark.parametrize("cents", [0, 499, 1_000_001, -5])
    def test_amounts_outside_of_the_limits_are_refused(self, stripe: FakeStripe, alice: Account, cents: int) -> None:
        with pytest.raises(InvalidRequest, match=r"between \$5\.00 and \$10000\.00"):
            begin(alice, cents)
        assert stripe.calls == []

    def test_without_keys_payments_are_off(self, alice: Account) -> None:
        with pytest.raises(Unavailable, match="payments are off"):
            begin(alice)

    def test_busy_conflicting_and_failing_answers_are_tried_again(self, stripe: FakeStripe, alice: Account) -> None:
        stripe.fail(BUSY, BUSY, FAIL_BEFORE, CONFLICT)
        assert begin(alice).session_id
        assert len([one for one in stripe.world.objects.values() if one["object"] == "checkout.session"]) == 1

    def test_a_customer_is_made_once(self, stripe: FakeStripe, alice: Account) -> None:
        begin(alice)
        begin(alice)
        Customer.objects.all().delete()
        begin(alice)
        assert len([one for one in stripe.world.objects.values() if one["object"] == "customer"]) == 1


class TestAutomatic:
    """The saved card, charged when credit runs low."""

    def test_it_charges_below_the_threshold_and_not_above(self, stripe: FakeStripe, alice: Account) -> None:
        with_card(stripe, alice)
        assert auto_topups.due() == [alice.pk]
        made = auto_topups.top_up_automatically(alice.pk)
        assert made is not None
        assert (made.state, made.is_automatic, balance(alice)) == ("paid", True, 20 * NANO)
        assert auto_topups.due() == []
        assert auto_topups.top_up_automatically(alice.pk) is None
        agree(stripe)

    def test_its_webhooks_add_nothing(self, stripe: FakeStripe, post: Post, alice: Account) -> None:
        with_card(stripe, alice)
        auto_topups.top_up_automatically(alice.pk)
        stripe.deliver(post, copies=2)
        assert balance(alice) == 20 * NANO

    def test_the_monthly_cap_holds(self, stripe: FakeStripe, alice: Account) -> None:
        with_card(stripe, alice, threshold_nano=1000 * NANO, cap_cents=4300)
        made = [auto_topups.top_up_automatically(alice.pk) for _ in range(4)]
        assert [one.state if one else None for one in made] == ["paid", "paid", None, None]

    def test_a_declining_card_is_tried_as_the_backoff_says_and_no_more(
        self, stripe: FakeStripe, alice: Account
    ) -> None:
        with_card(stripe, alice, DECLINED)
        for expected in (*topups.BACKOFF, None):
            before = timezone.now()
            for _ in range(5):  # the clock ticks on; only one of these may charge
                auto_topups.top_up_automatically(alice.pk)
            rule = AutoTopUp.objects.get()
            if expected is None:
                assert (rule.is_enabled, rule.stopped_because) == (False, "Your card was declined.")
            else:
                assert rule.try_after is not None
                assert timedelta(0) <= rule.try_after - before - expected < timedelta(minutes=1)
                AutoTopUp.objects.update(try_after=timezone.now())
        assert auto_topups.top_up_automatically(alice.pk) is None
        assert stripe.calls.count(("post", "/v1/payment_intents")) == len(topups.BACKOFF) + 1
        assert (balance(alice), stripe.world.charges()) == (0, [])

    def test_a_refusal_that_makes_no_payment_counts_too(self, stripe: FakeStripe, alice: Account) -> None:
        customer = with_card(stripe, alice)
        customer.payment_method_id = stripe.world.save_card("cus_other")
        customer.save()
        made = auto_topups.top_up_automatically(alice.pk)
        assert made is not None
        assert made.state == "failed"
        assert "another customer" in made.error
        assert AutoTopUp.objects.get().failures == 1

    @pytest.mark.parametrize("fault", [HANG_UP_AFTER, FAIL_AFTER])
    def test_a_charge_whose_answer_is_lost_is_found_and_not_repeated(
        self, stripe: FakeStripe, alice: Account, fault: str
    ) -> None:
        with_card(stripe, alice)
        stripe.fail(fault)
        made = auto_topups.top_up_automatically(alice.pk)
        assert made is not None
        AutoTopUp.objects.update(try_after=None)
        assert auto_topups.top_up_automatically(alice.pk) is None
        auto_topups.resume(timezone.now() + timedelta(minutes=2))
        made.refresh_from_db()
        assert (made.state, balance(alice), len(stripe.world.charges())) == ("paid", 20 * NANO, 1)
        agree(stripe)

    def test_a_crash_before_the_call_is_made_good(self, stripe: FakeStripe, alice: Account) -> None:
        with_card(stripe, alice)
        made = TopUp.objects.create(account=alice, amount_cents=2000, is_automatic=True)  # as `_claim` left it
        assert auto_topups.resume(timezone.now() + timedelta(minutes=2)) == 1
        made.refresh_from_db()
        assert (made.state, balance(alice)) == ("paid", 20 * NANO)
        late = TopUp.objects.create(account=alice, amount_cents=2000, is_automatic=True)
        auto_topups.resume(timezone.now() + topups.KEY_LIVES + timedelta(hours=1))
        late.refresh_from_db()
        assert (late.state, len(stripe.world.charges())) == ("failed", 1)

    def test_a_bank_that_wants_its_customer_is_finished_on_session(
        self, stripe: FakeStripe, post: Post, alice: Account
    ) -> None:
        with_card(stripe, alice, SCA)
        made = auto_topups.top_up_automatically(alice.pk)
        assert made is not None
        assert (made.state, balance(alice)) == ("action_required", 0)
        assert auto_topups.top_up_automatically(alice.pk) is None
        url = topups.finish_on_session(topup=made, return_url=BACK)
        assert url.startswith("https://hooks.stripe.com/")
        stripe.world.authenticate(made.payment_intent_id or "")
        stripe.deliver(post, copies=2)
        made.refresh_from_db()
        assert (made.state, balance(alice)) == ("paid", 20 * NANO)
        with pytest.raises(Conflict):
            topups.finish_on_session(topup=made, return_url=BACK)
        agree(stripe)

    def test_it_needs_a_card_and_a_cap_that_covers_it(self, stripe: FakeStripe, alice: Account) -> None:
        with pytest.raises(InvalidRequest, match="saves the card"):
            auto_topups.configure(account=alice, is_enabled=True, threshold_nano=1, amount_cents=2000, cap_cents=5000)
        with pytest.raises(InvalidRequest, match="cover one top-up"):
            auto_topups.configure(account=alice, is_enabled=False, threshold_nano=1, amount_cents=2000, cap_cents=2000)


@pytest.mark.django_db(transaction=True)
def test_automatic_top_up_from_many_threads_charges_once(stripe: FakeStripe) -> None:
    account = make.account()
    with_card(stripe, account)
    in_threads(24, lambda n: auto_topups.top_up_automatically(account.pk))
    assert (len(stripe.world.charges()), balance(account)) == (1, 20 * NANO)
    assert invariants.run() == []


@pytest.mark.django_db(transaction=True)
def test_a_failed_automatic_top_up_is_told_of_by_mail(stripe: FakeStripe) -> None:
    account = make.account()
    with_card(stripe, account, DECLINED)
    auto_topups.top_up_automatically(account.pk)
    for row in Delivery.objects.all():
        deliveries.deliver(delivery_id=row.pk)
    assert mail.outbox[-1].to == ["alice@example.com"]
    assert "$21.10" in mail.outbox[-1].body
    assert "Your card was declined." in mail.outbox[-1].body


class TestRefunds:
    """Unused credit, back to its card."""

    @pytest.fixture
    def paid(self, stripe: FakeStripe, post: Post, alice: Account) -> TopUp:
        topup = begin(alice)
        stripe.world.pay(topup.session_id)
        stripe.deliver(post)
        topup.refresh_from_db()
        return topup

    def test_only_what_is_unused_goes_back(self, stripe: FakeStripe, post: Post, alice: Account, paid: TopUp) -> None:
        holds_and_spends = place(alice, 3 * NANO)
        assert refunds.refundable_cents(paid) == 700
        with pytest.raises(InvalidRequest, match=r"\$7\.00 of this top-up is unused"):
            refunds.ask(topup=paid, amount_cents=701)
        made = refunds.ask(topup=paid, amount_cents=700)
        assert (made.state, balance(alice)) == ("succeeded", 3 * NANO)
        stripe.deliver(post, copies=2)
        assert balances.of(kind=LedgerAccount.Kind.REFUNDS_CLEARING) == 0
        assert holds_and_spends.amount_nano == 3 * NANO
        agree(stripe)

    def test_gifts_are_not_refunded(self, stripe: FakeStripe, alice: Account, paid: TopUp) -> None:
        credits.grant(account_id=alice.pk, amount_nano=4 * NANO, reference="gift")
        assert refunds.refundable_cents(paid) == 1000
        holds.settle(hold_id=place(alice, 3 * NANO).pk, rated=cost(3 * NANO))  # the gift pays first
        assert refunds.refundable_cents(paid) == 1000
        holds.settle(hold_id=place(alice, 2 * NANO).pk, rated=cost(2 * NANO))
        assert refunds.refundable_cents(paid) == 900

    @pytest.mark.parametrize("fault", [HANG_UP_AFTER, FAIL_BEFORE])
    def test_a_refund_whose_answer_is_lost_is_sent_once(
        self, stripe: FakeStripe, alice: Account, paid: TopUp, fault: str
    ) -> None:
        stripe.fail(fault, FAIL_BEFORE, FAIL_BEFORE)
        refunds.ask(topup=paid, amount_cents=400)
        refunds.resume()
        assert balance(alice) == 6 * NANO
        assert len([one for one in stripe.world.objects.values() if one["object"] == "refund"]) == 1
        agree(stripe)

    def test_a_refund_that_fails_later_is_credited_again_once(
        self, stripe: FakeStripe, post: Post, alice: Account, paid: TopUp
    ) -> None:
        made = refunds.ask(topup=paid, amount_cents=400)
        stripe.world.fail_refund(made.refund_id or "")
        stripe.deliver(post, copies=3)
        made.refresh_from_db()
        assert (made.state, balance(alice)) == ("failed", 10 * NANO)
        assert refunds.refundable_cents(paid) == 0 or TopUp.objects.get().refunded_cents == 0
        agree(stripe)

    def test_a_refund_made_at_stripe_after_use_freezes(
        self, stripe: FakeStripe, post: Post, alice: Account, paid: TopUp
    ) -> None:
        holds.settle(hold_id=place(alice, 9 * NANO).pk, rated=cost(9 * NANO))
        stripe.world.create_refund({"payment_intent": paid.payment_intent_id})
        stripe.deliver(post, copies=2)
        assert balance(alice) == -9 * NANO
        with pytest.raises(PaymentRequired, match="refunded after use"):
            place(alice, 1)
        agree(stripe)


class TestDisputes:
    """Payments that a bank takes back."""

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("won", [True, False])
    def test_it_freezes_and_the_money_follows_the_banks_word(
        self, stripe: FakeStripe, post: Post, alice: Account, seed: int, won: bool
    ) -> None:
        topup = begin(alice)
        intent = stripe.world.pay(topup.session_id)
        stripe.deliver(post)
        dispute_id = stripe.world.dispute(intent["id"])
        stripe.deliver(post, copies=2, shuffled=random.Random(seed))
        with pytest.raises(PaymentRequired, match="disputed with the bank"):
            place(alice, 1)
        assert balance(alice) == 0
        agree(stripe)
        stripe.world.judge(dispute_id, won=won)
        stripe.deliver(post, copies=2, shuffled=random.Random(seed))
        assert (balance(alice), Wallet.objects.get().is_frozen) == ((10 * NANO, False) if won else (0, True))
        agree(stripe)

    def test_a_dispute_told_of_before_its_payment_is_in_order(
        self, stripe: FakeStripe, post: Post, alice: Account
    ) -> None:
        intent = stripe.world.pay(begin(alice).session_id)
        stripe.deliver(post, drop=lambda kind: True)
        stripe.world.dispute(intent["id"])
        stripe.deliver(post)
        assert (balance(alice), Wallet.objects.get().is_frozen) == (0, True)
        agree(stripe)

    def test_a_dispute_about_spent_credit_leaves_a_debt(self, stripe: FakeStripe, post: Post, alice: Account) -> None:
        intent = stripe.world.pay(begin(alice).session_id)
        stripe.deliver(post)
        running = place(alice, 4 * NANO)
        stripe.world.dispute(intent["id"])
        stripe.deliver(post)
        assert holds.settle(hold_id=running.pk, rated=cost(3 * NANO)) is not None
        assert balance(alice) == -3 * NANO
        assert ledger.thaw(account_id=alice.pk) is False
        agree(stripe)

    def test_anothers_dispute_is_none_of_ours(self, stripe: FakeStripe, db: None) -> None:
        told = returns_at_stripe.Disputed("dp_1", "needs_response", 100, "pi_unknown", 0, True)
        assert disputes.settle(told) is False
