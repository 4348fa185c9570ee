"""The invoices of post-paid accounts, as they stand at Stripe. Amounts are cents; metered quantities micro-dollars."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import stripe

from billing.gateways.stripe import transport


@dataclass(frozen=True, slots=True)
class Line:
    """One metered price on an invoice: how many micro-dollars were counted, and the cents that Stripe makes of them."""

    price_id: str
    quantity: int
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Invoiced:
    """An invoice; `off_stripe_cents` is what of it was paid past Stripe, `has_given_up` that no card is tried again."""

    id: str
    customer_id: str
    subscription_id: str
    number: str
    status: str
    lines: tuple[Line, ...]
    amount_cents: int
    tax_cents: int
    paid_cents: int
    off_stripe_cents: int
    attempts: int
    has_given_up: bool
    period_start: dt.datetime
    period_end: dt.datetime
    due_at: dt.datetime | None
    created_at: dt.datetime
    url: str


def invoice(invoice_id: str) -> Invoiced:
    """An invoice as it stands, with all of its lines."""
    found = transport.call(lambda: transport.client().v1.invoices.retrieve(invoice_id))
    listed = transport.call(lambda: transport.client().v1.invoices.line_items.list(invoice_id, {"limit": 100}))
    details = found.parent.subscription_details if found.parent else None
    return Invoiced(
        id=found.id,
        customer_id=transport.id_of(found.customer),
        subscription_id=transport.id_of(details.subscription) if details else "",
        number=found.number or "",
        status=found.status or "draft",
        lines=tuple(_line(one) for one in listed.auto_paging_iter()),
        amount_cents=found.total,
        tax_cents=sum(one.amount for one in found.total_taxes or []),
        paid_cents=found.amount_paid,
        off_stripe_cents=found.amount_paid_off_stripe or 0,
        attempts=found.attempt_count,
        has_given_up=found.attempted and found.attempt_count > 0 and found.next_payment_attempt is None,
        period_start=_moment(found.period_start),
        period_end=_moment(found.period_end),
        due_at=_moment(found.due_date) if found.due_date else None,
        created_at=_moment(found.created),
        url=found.hosted_invoice_url or "",
    )


def paid_by(payment_intent_id: str) -> str:
    """The invoice that a payment paid; nothing for one that paid none."""
    params: Any = {"payment": {"type": "payment_intent", "payment_intent": payment_intent_id}, "limit": 1}
    found = transport.call(lambda: transport.client().v1.invoice_payments.list(params))
    return next((transport.id_of(one.invoice) for one in found.data), "")


def _line(found: stripe.InvoiceLineItem) -> Line:
    details = found.pricing.price_details if found.pricing else None
    return Line(transport.id_of(details.price) if details else "", found.quantity or 0, found.subtotal)


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
