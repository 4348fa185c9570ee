"""Buying credit: asked for, charged, credited once, whatever and however often Stripe tells of it.

No transaction spans a call to Stripe. A row says what we are about to ask before we ask, under a key of its
own, so that asking again after a crash has no second effect; a payment is booked under its own id.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.gateways.stripe import client as stripe
from billing.gateways.stripe.client import Payment
from billing.models import AutoTopUp, Customer, LedgerAccount, TopUp
from billing.services import ledger
from billing.services.alerts import events
from marketplace.lib.errors import Conflict, InvalidRequest, NotFound
from marketplace.lib.money import NANO_PER_CENT, format_usd
from marketplace.models import Account, User

logger = structlog.get_logger(__name__)

MOST_CENTS: Final = 1_000_000
# After a refused card: how long until the next try; after the last one it is switched off.
BACKOFF: Final = (dt.timedelta(hours=1), dt.timedelta(hours=6), dt.timedelta(hours=24))
# A top-up whose outcome we do not know is asked about again after this.
UNKNOWN_AFTER: Final = dt.timedelta(minutes=1)
# Stripe forgets idempotency keys after a day; beyond this a payment that it does not list is given up.
KEY_LIVES: Final = dt.timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Started:
    """A top-up that goes on in the browser at `url`."""

    topup: TopUp
    url: str


def fee_cents(amount_cents: int) -> int:
    """The fee on a purchase, by setting: basis points, at least a minimum, rounded up to a cent."""
    if not settings.TOPUP_FEE_BPS:
        return 0
    return max(-(-amount_cents * settings.TOPUP_FEE_BPS // 10_000), int(settings.TOPUP_FEE_MIN_CENTS))


def fee_text() -> str:
    """The fee in words."""
    if not settings.TOPUP_FEE_BPS:
        return "There is no fee."
    least = format_usd(int(settings.TOPUP_FEE_MIN_CENTS) * NANO_PER_CENT)
    return f"A fee of {settings.TOPUP_FEE_BPS / 100:g} %, at least ${least}, is added."


def tax_text() -> str:
    """What is said about tax where a purchase begins."""
    return "Tax is added where it applies." if settings.STRIPE_TAX else ""


def check_amount(amount_cents: int) -> None:
    """Raises InvalidRequest for an amount outside of what may be bought at once."""
    least = int(settings.TOPUP_MIN_CENTS)
    if not least <= amount_cents <= MOST_CENTS:
        low, high = format_usd(least * NANO_PER_CENT), format_usd(MOST_CENTS * NANO_PER_CENT)
        raise InvalidRequest(f"Top up between ${low} and ${high} at once.", metadata={"field": "amount"})


def start(*, account: Account, user: User, amount_cents: int, success_url: str, cancel_url: str) -> Started:
    """Begin a purchase on Stripe's page. Raises InvalidRequest, or Unavailable when Stripe is off or away."""
    check_amount(amount_cents)
    if ledger.wallet_of(account.pk).credit_limit_nano:
        raise InvalidRequest("This account pays by invoice: there is nothing to top up.", metadata={"field": "amount"})
    customer = customer_of(account=account, user=user)
    topup = TopUp.objects.create(
        account=account, created_by=user, amount_cents=amount_cents, fee_cents=fee_cents(amount_cents)
    )
    session = stripe.checkout(
        topup_id=str(topup.pk),
        customer_id=customer.customer_id,
        amount_cents=amount_cents,
        fee_cents=topup.fee_cents,
        success_url=success_url,
        cancel_url=cancel_url,
    )
    TopUp.objects.filter(pk=topup.pk).update(session_id=session.id)
    return Started(topup, session.url)


def customer_of(*, account: Account, user: User) -> Customer:
    """The account's customer at Stripe, made when first needed; the same one however many ask at once."""
    found = Customer.objects.filter(account=account).first()
    if found is not None:
        return found
    customer_id = stripe.customer(account_id=account.pk, name=account.name, email=user.email)
    found, _ = Customer.objects.get_or_create(account=account, defaults={"customer_id": customer_id})
    return found


def save_card(*, account: Account, user: User, success_url: str, cancel_url: str) -> str:
    """Where the browser goes so that a card is saved without a purchase. Raises Unavailable when Stripe is off."""
    customer = customer_of(account=account, user=user)
    made = stripe.save_card(customer_id=customer.customer_id, success_url=success_url, cancel_url=cancel_url)
    return made.url


def keep_card(saved: stripe.SavedCard) -> bool:
    """Take over a card that was saved; False for a customer that is none of ours."""
    rows = Customer.objects.filter(customer_id=saved.customer_id)
    return bool(rows.update(payment_method_id=saved.payment_method_id, card=saved.card))


def find(*, account_id: int, topup_id: UUID) -> TopUp:
    """One of the account's top-ups. Raises NotFound."""
    topup = TopUp.objects.for_account(account_id).filter(pk=topup_id).first()
    if topup is None:
        raise NotFound("There is no such top-up.")
    return topup


def finish_on_session(*, topup: TopUp, return_url: str) -> str:
    """Where the browser goes so that the bank can ask its customer. Raises Conflict when nothing is waited for."""
    if topup.state != TopUp.State.ACTION_REQUIRED or not topup.payment_intent_id:
        raise Conflict("This top-up does not wait for a confirmation any more.")
    payment = stripe.confirm(payment_intent_id=topup.payment_intent_id, return_url=return_url)
    settle(topup.pk, payment)
    return payment.redirect_url or return_url


# -- what Stripe says of a payment, applied


@transaction.atomic
def settle(topup_id: UUID, payment: Payment) -> bool:
    """Take over how a payment stands; True when this call credited it. Any order, any number of times."""
    topup = TopUp.objects.get(pk=topup_id)
    if payment.id:
        TopUp.objects.filter(pk=topup_id, payment_intent_id=None).update(payment_intent_id=payment.id)
    if payment.is_paid:
        return _paid(topup, payment)
    if payment.status == "requires_action" and topup.is_automatic:
        waiting = _move(topup_id, (TopUp.State.PENDING,), TopUp.State.ACTION_REQUIRED, payment.message)
        if waiting:
            events.confirmation_needed(topup=topup)
    elif payment.status in {"failed", "requires_payment_method"} and topup.is_automatic:
        if _move(topup_id, TopUp.OPEN, TopUp.State.FAILED, payment.message):
            _back_off(topup, payment.message)
    elif payment.status == "canceled":
        _move(topup_id, TopUp.OPEN, TopUp.State.CANCELED, payment.message)
    return False


def _paid(topup: TopUp, payment: Payment) -> bool:
    # Stripe adds nothing to what we ask for but tax.
    tax_cents = max(0, payment.amount_cents - topup.amount_cents - topup.fee_cents)
    TopUp.objects.filter(pk=topup.pk).exclude(state=TopUp.State.PAID).update(
        state=TopUp.State.PAID,
        error="",
        tax_cents=tax_cents,
        receipt_url=payment.receipt_url,
        ended_at=timezone.now(),
    )
    if payment.payment_method_id:
        Customer.objects.filter(account_id=topup.account_id).update(
            payment_method_id=payment.payment_method_id, card=payment.card
        )
    if topup.is_automatic:
        AutoTopUp.objects.filter(account_id=topup.account_id).update(failures=0, try_after=None)
    book_fee(movement_id=payment.balance_transaction_id, fee_cents=payment.stripe_fee_cents)
    credit, tax = topup.amount_cents * NANO_PER_CENT, tax_cents * NANO_PER_CENT
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.STRIPE_CLEARING, None, -payment.amount_cents * NANO_PER_CENT),
        (LedgerAccount.Kind.WALLET, topup.account_id, credit),
        (LedgerAccount.Kind.TAX_PAYABLE, None, tax),
        (LedgerAccount.Kind.FEES, None, payment.amount_cents * NANO_PER_CENT - credit - tax),
    ]
    memo = "Automatic top-up" if topup.is_automatic else "Top-up"
    if not ledger.post_once(kind="topup", reference=payment.id, legs=legs, memo=memo):
        return False
    ledger.credit(account_id=topup.account_id, amount_nano=credit)
    return True


def book_fee(*, movement_id: str, fee_cents: int) -> bool:
    """Book what Stripe took for one line of its books, once."""
    if not movement_id or not fee_cents:
        return False
    fee = fee_cents * NANO_PER_CENT
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.FEES, None, -fee),
        (LedgerAccount.Kind.STRIPE_CLEARING, None, fee),
    ]
    return ledger.post_once(kind="stripe_fee", reference=movement_id, legs=legs, memo="Stripe's fee")


def _move(topup_id: UUID, before: tuple[str, ...], after: str, error: str) -> bool:
    ended = None if after in TopUp.OPEN else timezone.now()
    changed = TopUp.objects.filter(pk=topup_id, state__in=before).update(state=after, error=error[:300], ended_at=ended)
    return bool(changed)


def _back_off(topup: TopUp, message: str) -> None:
    rule = AutoTopUp.objects.get(account_id=topup.account_id)
    rule.failures += 1
    stops = rule.failures > len(BACKOFF)
    AutoTopUp.objects.filter(pk=rule.pk).update(
        failures=rule.failures,
        is_enabled=not stops,
        try_after=None if stops else timezone.now() + BACKOFF[rule.failures - 1],
        stopped_because=message[:300] if stops else "",
    )
    events.topup_failed(topup=topup, message=message, stops=stops)
