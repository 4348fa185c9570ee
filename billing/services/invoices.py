"""Invoices for what was used, taken over as they stand at Stripe: paid, they fill the wallet; overdue, they freeze it.

What an account used is owed from the moment of the charge: its wallet is below zero by it. An invoice asks for that
and books nothing; its payment does. Its lines count micro-dollars and cost cents, each rounded half up, so payment
and usage differ by less than half a cent a line, which is booked too.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from billing.gateways.stripe.invoicing import Invoiced
from billing.gateways.stripe.invoicing import Line as InvoicedLine
from billing.models import Customer, Invoice, LedgerAccount
from billing.services import disputes, ledger
from billing.services.alerts import events
from marketplace.lib.money import NANO_PER_CENT

logger = structlog.get_logger(__name__)

KIND: Final = "invoice"
BECAUSE: Final = "An invoice is overdue: pay it on the credits page."
NANO_PER_MICRO: Final = 1_000
MICRO_PER_CENT: Final = 10_000


def cents_of(micro: int) -> int:
    """Micro-dollars as whole cents, rounded half up; what is below zero is invoiced as nothing."""
    return max(0, (micro + MICRO_PER_CENT // 2) // MICRO_PER_CENT)


@transaction.atomic
def settle(told: Invoiced, *, now: dt.datetime | None = None) -> bool:
    """Take over how an invoice stands; False for one that is none of ours. Any order, any number of times."""
    customer = Customer.objects.filter(customer_id=told.customer_id).first()
    if customer is None or not told.subscription_id:
        return False
    before = Invoice.objects.filter(pk=told.id).first()
    row, _ = Invoice.objects.update_or_create(
        pk=told.id,
        defaults={
            "account_id": customer.account_id,
            "number": told.number[:64],
            "state": told.status,
            "usage_nano": sum(max(0, line.quantity) for line in told.lines) * NANO_PER_MICRO,
            "amount_cents": told.amount_cents,
            "tax_cents": told.tax_cents,
            "period_start": told.period_start,
            "period_end": told.period_end,
            "due_at": told.due_at,
            "attempts": told.attempts,
            "problem": _problem(told.lines),
            "url": told.url[:500],
            "created_at": told.created_at,
        },
    )
    if row.problem:
        logger.error("invoice_differs", invoice=row.pk, problem=row.problem)
    if row.state == Invoice.State.PAID:
        _paid(row, told)
    elif row.state == Invoice.State.OPEN and told.attempts > (before.attempts if before else 0):
        events.invoice_refused(invoice=row)
    is_late = told.has_given_up or (told.due_at is not None and told.due_at < (now or timezone.now()))
    if row.state == Invoice.State.UNCOLLECTIBLE or (row.state == Invoice.State.OPEN and is_late):
        _overdue(row)
    elif row.is_overdue:
        _no_longer_overdue(row)
    return True


def freeze_overdue(now: dt.datetime | None = None) -> int:
    """Freeze the wallets of invoices whose day has passed without a word of Stripe's; returns how many."""
    late = Invoice.objects.filter(Q(due_at__lt=now or timezone.now()), state=Invoice.State.OPEN, is_overdue=False)
    return sum(_overdue(row) for row in late)


def freezing(*, account_id: int) -> bool:
    """Whether an overdue invoice keeps the account's wallet frozen."""
    return Invoice.objects.for_account(account_id).owed().filter(is_overdue=True).exists()


def _problem(lines: tuple[InvoicedLine, ...]) -> str:
    wrong = [one for one in lines if one.amount_cents != cents_of(one.quantity)]
    parts = [f"{one.quantity} micro-dollars cost {one.amount_cents} cents" for one in wrong]
    return "; ".join(parts)[:300]


def _paid(row: Invoice, told: Invoiced) -> None:
    """Book the payment once. What staff had written off meanwhile lowers the bad debt instead of filling the wallet."""
    recovered = min(row.written_off_nano, row.usage_nano)
    past = told.off_stripe_cents * NANO_PER_CENT
    through = told.paid_cents * NANO_PER_CENT - past
    tax = told.tax_cents * NANO_PER_CENT
    legs = [
        (LedgerAccount.Kind.STRIPE_CLEARING, None, -through),
        (LedgerAccount.Kind.BANK, None, -past),
        (LedgerAccount.Kind.TAX_PAYABLE, None, tax),
        (LedgerAccount.Kind.WALLET, row.account_id, row.usage_nano - recovered),
        (LedgerAccount.Kind.BAD_DEBT, None, recovered),
        (LedgerAccount.Kind.SETTLEMENT_LOSS, None, through + past - tax - row.usage_nano),
    ]
    memo = f"Invoice {row.number}".strip()
    if ledger.post_once(kind=KIND, reference=row.pk, legs=legs, memo=memo):
        Invoice.objects.filter(pk=row.pk).update(written_off_nano=F("written_off_nano") - recovered)
        ledger.credit(account_id=row.account_id, amount_nano=row.usage_nano - recovered)


def _overdue(row: Invoice) -> bool:
    """Freeze once: a wallet that staff have thawed since stays so."""
    if not Invoice.objects.owed().filter(pk=row.pk, is_overdue=False).update(is_overdue=True):
        return False
    ledger.freeze(account_id=row.account_id, because=BECAUSE)
    events.invoice_overdue(invoice=row)
    return True


def _no_longer_overdue(row: Invoice) -> None:
    Invoice.objects.filter(pk=row.pk).update(is_overdue=False)
    still = freezing(account_id=row.account_id) or disputes.freezing(account_id=row.account_id).exists()
    if not still:
        ledger.thaw(account_id=row.account_id)
