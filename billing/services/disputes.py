"""Payments that a bank takes back: the wallet is frozen at once, the money follows Stripe's word."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from billing.gateways.stripe.returns import Disputed
from billing.models import Dispute, Invoice, LedgerAccount, TopUp
from billing.services import ledger, returns
from marketplace.lib.money import NANO_PER_CENT

BECAUSE: Final = "A payment for this credit is disputed with the bank."
BECAUSE_OF_INVOICE: Final = "The payment of an invoice is disputed with the bank."
# Ended for the customer; every other state is open, or won.
_WON: Final = frozenset({"won", "warning_closed"})


@transaction.atomic
def settle(told: Disputed, *, invoice_id: str = "") -> bool:
    """Take over how a dispute stands; False for a payment that is none of ours. Any order, any number of times.

    `invoice_id` is the invoice that the payment had paid, whose state the caller has taken over.
    """
    source = returns.source_of(payment_intent_id=told.payment_intent_id, invoice_id=invoice_id)
    if source is None:
        return False
    dispute, _ = Dispute.objects.update_or_create(
        pk=told.id, defaults={**returns.named(source), "amount_cents": told.amount_cents, "state": told.status}
    )
    account_id, is_closed = source.account_id, dispute.closed_by_id is not None
    if told.status not in _WON and not is_closed and not ledger.is_posted(kind="dispute_won", reference=told.id):
        ledger.freeze(account_id=account_id, because=BECAUSE if dispute.topup_id else BECAUSE_OF_INVOICE)
    taken = ledger.is_posted(kind="dispute", reference=told.id)
    if dispute.credit_cents is None:
        _cut(dispute)
    if told.is_withdrawn or taken:
        _book(told, dispute, kind="dispute", sign=-1)
    if told.status in _WON:
        if taken and not told.is_withdrawn:
            _book(told, dispute, kind="dispute_won", sign=1)
        overdue = Invoice.objects.for_account(account_id).owed().filter(is_overdue=True)
        if not freezing(account_id=account_id).exclude(pk=told.id).exists() and not overdue.exists():
            ledger.thaw(account_id=account_id)
    return True


def freezing(*, account_id: int) -> QuerySet[Dispute]:
    """The disputes that keep an account's wallet frozen: open or lost, and not yet closed by staff."""
    mine = Q(topup__account_id=account_id) | Q(invoice__account_id=account_id)
    return Dispute.objects.filter(mine, closed_by=None).exclude(state__in=_WON)


def taken_back(topup: TopUp) -> bool:
    """Whether a bank has taken a payment back, or may yet: there is nothing left of it to refund."""
    return topup.disputes.exclude(state__in=_WON).exists()


def _cut(dispute: Dispute) -> None:
    """Say once what of the disputed money was credit and tax; the rest is our fee on it."""
    portion = returns.cut(dispute.source, dispute.amount_cents)
    dispute.credit_cents, dispute.tax_cents = portion.credit, portion.tax
    dispute.rounding_nano = returns.rounding_nano(dispute.source, portion.credit)
    dispute.save(update_fields=["credit_cents", "tax_cents", "rounding_nano"])


def _book(told: Disputed, dispute: Dispute, *, kind: str, sign: int) -> None:
    """Move the disputed money between Stripe and the wallet, with its tax and our fee."""
    whole = told.amount_cents * NANO_PER_CENT * sign
    credited = (dispute.credit_cents or 0) * NANO_PER_CENT * sign
    taxed = dispute.tax_cents * NANO_PER_CENT * sign
    cost = told.fee_cents * NANO_PER_CENT if sign < 0 else 0
    legs: list[ledger.Leg] = [
        *returns.legs(dispute, sign=sign),
        (LedgerAccount.Kind.TAX_PAYABLE, None, taxed),
        (LedgerAccount.Kind.FEES, None, whole - credited - taxed - cost),
        (LedgerAccount.Kind.STRIPE_CLEARING, None, cost - whole),
    ]
    memo = "Disputed payment" if sign < 0 else "Dispute won"
    if not ledger.post_once(kind=kind, reference=told.id, legs=legs, memo=memo):
        return
    if sign < 0:
        returns.take(dispute)
    else:
        returns.give(dispute, posted=legs)
