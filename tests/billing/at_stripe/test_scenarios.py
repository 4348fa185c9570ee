"""Payments, refunds, disputes, usage and invoices at Stripe, as its API has them: at the fake, or really.

With a real test account nothing but what these tests make is looked at, and everything is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import pytest
from django.utils import timezone

from billing import invariants
from billing.gateways.stripe import client as gateway
from billing.gateways.stripe import metering as meters_at_stripe
from billing.models import AutoTopUp, Dispute, Invoice, LedgerAccount, Meter, MeterRow, Refund, TopUp, Wallet
from billing.services import (
    auto_topups,
    balances,
    debts,
    disputes,
    holds,
    ledger,
    metered,
    metering,
    refunds,
    rollups,
    subscriptions,
    topups,
)
from marketplace.lib.money import NANO, NANO_PER_CENT
from marketplace.models import Account
from tests.billing.at_stripe.door import ASKS_ITS_CUSTOMER, DECLINED, DISPUTED, GOOD, Door
from tests.billing.conftest import BACK
from tests.billing.services.test_holds import cost, place
from tests.factories import marketplace as make

pytestmark = [pytest.mark.postgres, pytest.mark.django_db, pytest.mark.timeout(900)]
MICRO = 3_004_999  # micro-dollars, of which an invoice makes $3.00


@pytest.fixture(autouse=True)
def _sound(door: Door) -> Iterator[None]:
    """The books are in order after each scenario."""
    yield
    balances.advance()
    assert invariants.run() == []


def balance(account: Account) -> int:
    return ledger.wallet_of(account.pk).balance_nano


def frozen(account: Account) -> bool:
    return Wallet.objects.get(account=account).is_frozen


def state(topup: TopUp) -> str:
    topup.refresh_from_db()
    return topup.state


def save_card(door: Door, account: Account, kind: str) -> str:
    """A card on file, as if it had been left on Stripe's page; its id."""
    customer = topups.customer_of(account=account, user=make.user("alice@example.com"))
    customer.payment_method_id = door.card(customer.customer_id, kind)
    customer.save()
    return customer.payment_method_id


def charge(door: Door, account: Account, kind: str = GOOD) -> TopUp:
    """An automatic top-up of $20 on a card of this kind."""
    save_card(door, account, kind)
    auto_topups.configure(
        account=account, is_enabled=True, threshold_nano=5 * NANO, amount_cents=2_000, cap_cents=10_000
    )
    made = auto_topups.top_up_automatically(account.pk)
    assert made is not None
    return made


# -- prepaid


def test_a_saved_card_is_charged_and_credited_once(door: Door, customer: Account) -> None:
    topup = charge(door, customer)
    door.until(lambda: state(topup) == "paid", copies=2)
    assert balance(customer) == 20 * NANO
    assert topup.receipt_url.startswith("https://")
    fees = balances.of(kind=LedgerAccount.Kind.FEES)
    assert fees < topup.fee_cents * NANO_PER_CENT  # Stripe's own is booked with it
    assert topups.customer_of(account=customer, user=make.user("alice@example.com")).card.endswith("ending 4242")


def test_a_declining_card_credits_nothing_and_is_tried_later(door: Door, customer: Account) -> None:
    topup = charge(door, customer, DECLINED)
    door.until(lambda: state(topup) == "failed", copies=2)
    rule = AutoTopUp.objects.get()
    assert (rule.failures, rule.try_after is not None, balance(customer)) == (1, True, 0)
    assert auto_topups.top_up_automatically(customer.pk) is None


def test_a_bank_that_asks_its_customer_is_waited_for(door: Door, customer: Account) -> None:
    topup = charge(door, customer, ASKS_ITS_CUSTOMER)
    door.until(lambda: state(topup) == "action_required")
    assert topups.finish_on_session(topup=topup, return_url=BACK).startswith("https://hooks.stripe.com/")
    gateway.cancel(payment_intent_id=topup.payment_intent_id or "")
    door.until(lambda: state(topup) == "canceled")
    assert balance(customer) == 0


def test_a_page_that_nobody_fills_in_is_canceled(door: Door, customer: Account) -> None:
    started = topups.start(
        account=customer, user=make.user("alice@example.com"), amount_cents=1_000, success_url=BACK, cancel_url=BACK
    )
    assert started.url.startswith("https://checkout.stripe.com/")
    started.topup.refresh_from_db()
    door.expire(started.topup.session_id)
    door.until(lambda: state(started.topup) == "canceled")
    assert balance(customer) == 0


def test_unused_credit_goes_back_to_the_card(door: Door, customer: Account) -> None:
    topup = charge(door, customer)
    door.until(lambda: state(topup) == "paid")
    made = refunds.ask(topup=topup, amount_cents=1_234)
    door.until(lambda: Refund.objects.get(pk=made.pk).state == "succeeded", copies=2)
    assert balance(customer) == 20 * NANO - 1_234 * NANO_PER_CENT
    door.send_back(topup.payment_intent_id or "", 500)
    door.until(lambda: Refund.objects.count() == 2, copies=2)
    assert balance(customer) == 20 * NANO - 1_734 * NANO_PER_CENT


@pytest.mark.parametrize("wins", [True, False])
def test_a_disputed_payment_freezes_until_the_banks_word(door: Door, customer: Account, wins: bool) -> None:
    topup = charge(door, customer, DISPUTED)
    door.until(lambda: Dispute.objects.exists() and balance(customer) == 0)
    assert frozen(customer)
    door.answer(door.dispute_of(topup.payment_intent_id or ""), wins=wins)
    door.until(lambda: Dispute.objects.get().state == ("won" if wins else "lost"), copies=2)
    assert (balance(customer), frozen(customer)) == ((20 * NANO, False) if wins else (0, True))


# -- paying afterwards


@dataclass
class Owing:
    """An account that owes for usage, its subscription, and a card."""

    account: Account
    subscription_id: str
    card: str

    @property
    def customer_id(self) -> str:
        return str(self.account.customer.customer_id)


@pytest.fixture
def owing(door: Door, customer: Account) -> Owing:
    """$3.004999 of usage on account, up to $10."""
    card = save_card(door, customer, GOOD)
    # Hours ago, so that its hour is over: nobody can set Stripe's clock.
    with mock.patch("django.utils.timezone.now", return_value=timezone.now() - 3 * metering.HOUR):
        metered.decide(account=customer, credit_limit_nano=10 * NANO, reason="A known customer.", decided_by=None)
        assert holds.settle(hold_id=place(customer, MICRO * 1_000).pk, rated=cost(MICRO * 1_000))
    subscriptions.sync()
    return Owing(customer, customer.subscription.subscription_id, card)


def test_what_stripe_sync_makes_is_there_the_second_time(door: Door, owing: Owing) -> None:
    assert subscriptions.sync() == []


def test_usage_is_counted_once(door: Door, owing: Owing) -> None:
    rollups.close()
    metering.export()
    row = MeterRow.objects.get(meter="text")
    MeterRow.objects.filter(pk=row.pk).update(state=MeterRow.State.WAITING)  # as if the answer had been lost
    metering.export()
    row.refresh_from_db()
    assert (row.state, row.value) == ("sent", MICRO)
    meter_id = Meter.objects.get(name="text").meter_id
    since, until = row.hour, rollups.whole(timezone.now()) + metering.HOUR

    def counted() -> int:
        return meters_at_stripe.summed(meter_id=meter_id, customer_id=owing.customer_id, since=since, until=until)

    door.until(lambda: counted() == MICRO)


def invoice(door: Door, owing: Owing) -> str:
    """An open invoice for the usage, of which the portal knows."""
    made = door.invoice(customer_id=owing.customer_id, subscription_id=owing.subscription_id, micro=MICRO)
    door.until(lambda: Invoice.objects.filter(pk=made, state="open").exists())
    row = Invoice.objects.get(pk=made)
    assert (row.usage_nano, row.amount_cents, row.problem) == (MICRO * 1_000, 300, "")
    return made


def test_a_paid_invoice_fills_the_wallet_and_sent_back_is_owed_again(door: Door, owing: Owing) -> None:
    invoice_id = invoice(door, owing)
    payment = door.pay_invoice(invoice_id, owing.card)
    door.until(lambda: Invoice.objects.get(pk=invoice_id).state == "paid", copies=2)
    assert balance(owing.account) == 0
    door.send_back(payment, 100)
    door.until(lambda: Refund.objects.filter(invoice=invoice_id).exists(), copies=2)
    assert balance(owing.account) == -(MICRO * 1_000 * 100 // 300)


@pytest.mark.parametrize("wins", [True, False])
def test_a_disputed_invoice_is_owed_again_until_it_is_won(door: Door, owing: Owing, wins: bool) -> None:
    invoice_id = invoice(door, owing)
    payment = door.pay_invoice(invoice_id, door.card(owing.customer_id, DISPUTED))
    door.until(lambda: Dispute.objects.filter(invoice=invoice_id).exists() and balance(owing.account) < 0)
    assert ledger.wallet_of(owing.account.pk).frozen_because == disputes.BECAUSE_OF_INVOICE
    door.answer(door.dispute_of(payment), wins=wins)
    door.until(lambda: Dispute.objects.get().state == ("won" if wins else "lost"), copies=2)
    assert (balance(owing.account), frozen(owing.account)) == ((0, False) if wins else (-MICRO * 1_000, True))
    if not wins:
        debts.write_off(invoice=Invoice.objects.get(pk=invoice_id), reason="Lost.", decided_by=None)
        assert balance(owing.account) == 0


@pytest.mark.parametrize("ends", ["void", "uncollectible"])
def test_what_nobody_will_pay_is_owed_until_it_is_written_off(door: Door, owing: Owing, ends: str) -> None:
    invoice_id = invoice(door, owing)
    (door.void_invoice if ends == "void" else door.give_up_invoice)(invoice_id)
    door.until(lambda: Invoice.objects.get(pk=invoice_id).state == ends, copies=2)
    assert (balance(owing.account), frozen(owing.account)) == (-MICRO * 1_000, ends == "uncollectible")
    debts.write_off(invoice=Invoice.objects.get(pk=invoice_id), reason="Gone.", decided_by=None)
    assert balance(owing.account) == 0
