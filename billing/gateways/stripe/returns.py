"""Money that goes back at Stripe: refunds of ours, and disputes. Amounts are cents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stripe

from billing.gateways.stripe import transport


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund at Stripe."""

    id: str
    status: str
    amount_cents: int
    payment_intent_id: str
    our_id: str


@dataclass(frozen=True, slots=True)
class Disputed:
    """A dispute at Stripe; `fee_cents` is what Stripe takes for it, `is_withdrawn` whether the money is gone."""

    id: str
    status: str
    amount_cents: int
    payment_intent_id: str
    fee_cents: int
    is_withdrawn: bool


def refund(*, refund_id: str, payment_intent_id: str, amount_cents: int) -> Refunded:
    """Send money back, once per `refund_id` of ours. Raises Rejected."""
    params: Any = {"payment_intent": payment_intent_id, "amount": amount_cents, "metadata": {"refund": refund_id}}
    return _refund(
        transport.call(lambda: transport.client().v1.refunds.create(params, {"idempotency_key": f"refund:{refund_id}"}))
    )


def refunded(refund_id: str) -> Refunded:
    """A refund as it stands."""
    return _refund(transport.call(lambda: transport.client().v1.refunds.retrieve(refund_id)))


def disputed(dispute_id: str) -> Disputed:
    """A dispute as it stands."""
    found = transport.call(lambda: transport.client().v1.disputes.retrieve(dispute_id))
    lines = list(found.balance_transactions)
    return Disputed(
        id=found.id,
        status=found.status,
        amount_cents=found.amount,
        payment_intent_id=transport.id_of(found.payment_intent),
        fee_cents=sum(line.fee for line in lines),
        is_withdrawn=sum(line.amount for line in lines) < 0,
    )


def _refund(found: stripe.Refund) -> Refunded:
    return Refunded(
        id=found.id,
        status=found.status or "pending",
        amount_cents=found.amount,
        payment_intent_id=transport.id_of(found.payment_intent),
        our_id=transport.metadata_of(found.metadata, "refund"),
    )
