"""Payments that a bank takes back: the wallet is frozen at once, the money follows Stripe's word."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from billing import portions
from billing.gateways.stripe.client import Disputed
from billing.models import Dispute, Invoice, LedgerAccount, TopUp
from billing.services import ledger
from marketplace.lib.money import NANO_PER_CENT

BECAUSE: Final = "A payment for this credit is disputed with the bank."
# Ended for the customer; every other state is open, or won.
_WON: Final = frozenset({"won", "warning_closed"})


@transaction.atomic
def settle(told: Disputed) -> bool:
    """Take over how a dispute stands; False for a payment that is none of ours. Any order, any number of times."""
    topup = TopUp.objects.filter(payment_intent_id=told.payment_intent_id).first()
    if topup is None:
        return False
    dispute, _ = Dispute.objects.update_or_create(
        pk=told.id, defaults={"topup": topup, "amount_cents": told.amount_cents, "state": told.status}
    )
    is_closed = dispute.closed_by_id is not None
    if told.status not in _WON and not is_closed and not ledger.is_posted(kind="dispute_won", reference=told.id):
        ledger.freeze(account_id=topup.account_id, because=BECAUSE)
    taken = ledger.is_posted(kind="dispute", reference=told.id)
    if dispute.credit_cents is None:
        _cut(dispute, topup)
    if told.is_withdrawn or taken:
        _book(told, dispute, kind="dispute", sign=-1)
    if told.status in _WON:
        if taken and not told.is_withdrawn:
            _book(told, dispute, kind="dispute_won", sign=1)
        overdue = Invoice.objects.for_account(topup.account_id).filter(
            is_overdue=True, state__in=[Invoice.State.OPEN, Invoice.State.UNCOLLECTIBLE]
        )
        if not freezing(account_id=topup.account_id).exclude(pk=told.id).exists() and not overdue.exists():
            ledger.thaw(account_id=topup.account_id)
    return True


def freezing(*, account_id: int) -> QuerySet[Dispute]:
    """The disputes that keep an account's wallet frozen: open or lost, and not yet closed by staff."""
    return Dispute.objects.filter(topup__account_id=account_id, closed_by=None).exclude(state__in=_WON)


def taken_back(topup: TopUp) -> bool:
    """Whether a bank has taken a payment back, or may yet: there is nothing left of it to refund."""
    return topup.disputes.exclude(state__in=_WON).exists()


def _cut(dispute: Dispute, topup: TopUp) -> None:
    """Say once what of the disputed money was credit and tax; the rest is our fee on it."""
    portion = portions.of(
        dispute.amount_cents,
        amount=topup.amount_cents,
        fee=topup.fee_cents,
        tax=topup.tax_cents,
        credit_left=topup.amount_cents - topup.refunded_cents,
        tax_left=topup.tax_cents - topup.refunded_tax_cents,
    )
    dispute.credit_cents, dispute.tax_cents = portion.credit, portion.tax
    dispute.save(update_fields=["credit_cents", "tax_cents"])


def _book(told: Disputed, dispute: Dispute, *, kind: str, sign: int) -> None:
    """Move the disputed money between Stripe and the wallet, with its tax and our fee."""
    owner_id = dispute.topup.account_id
    whole = told.amount_cents * NANO_PER_CENT * sign
    credited = (dispute.credit_cents or 0) * NANO_PER_CENT * sign
    taxed = dispute.tax_cents * NANO_PER_CENT * sign
    cost = told.fee_cents * NANO_PER_CENT if sign < 0 else 0
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, owner_id, credited),
        (LedgerAccount.Kind.TAX_PAYABLE, None, taxed),
        (LedgerAccount.Kind.FEES, None, whole - credited - taxed - cost),
        (LedgerAccount.Kind.STRIPE_CLEARING, None, cost - whole),
    ]
    memo = "Disputed payment" if sign < 0 else "Dispute won"
    if ledger.post_once(kind=kind, reference=told.id, legs=legs, memo=memo):
        ledger.credit(account_id=owner_id, amount_nano=credited)
