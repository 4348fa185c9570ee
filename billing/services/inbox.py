"""Stripe's webhooks: kept, then applied once. The mark `done` and the effect are one transaction.

What an event says is not believed: the object that it names is fetched as it stands, and its state taken
over. So order and number of events do not matter, and an event that failed is simply applied again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F

from billing.gateways.stripe import client as stripe
from billing.gateways.stripe import connect, invoicing
from billing.gateways.stripe import metering as metering_gateway
from billing.gateways.stripe import returns as returns_at_stripe
from billing.models import InboxEvent, Recipient, TopUp
from billing.services import disputes, invoices, metering, payouts, refunds, topups
from marketplace.lib.errors import AppError

logger = structlog.get_logger(__name__)

# After so many tries an event waits for a person; the nightly walk brings it back once a day.
MOST_ATTEMPTS: Final = 12

Effect = Callable[[], object]
# To which address an event comes: of our own account, thin, or of those whom we pay (the first address too).
Way = Literal["snapshot", "thin", "connected accounts"]


def receive(event: Mapping[str, Any]) -> bool:
    """Keep an event and apply it; True when its effect is in the books now (by this call or before).

    Never raises for what Stripe or the database do meanwhile: the event is kept, and `work_off` applies it.
    """
    told = event.get("data") or {}
    related = event.get("related_object") or {}
    object_id = str((told.get("object") or {}).get("id") or related.get("id") or "")
    defaults = {"type": str(event["type"])[:100], "object_id": object_id[:100], "payload": dict(event)}
    row, _ = InboxEvent.objects.get_or_create(pk=str(event["id"])[:100], defaults=defaults)
    return row.is_done or _try(row)


def work_off() -> int:
    """Apply the events that could not be applied when they came; returns how many are done now."""
    rows = InboxEvent.objects.filter(is_done=False, attempts__lt=MOST_ATTEMPTS).order_by("received_at")
    return sum(_try(row) for row in rows)


def _try(row: InboxEvent) -> bool:
    try:
        effect = _effect_of(row)
        with transaction.atomic():
            if not InboxEvent.objects.filter(pk=row.pk, is_done=False).update(is_done=True, error=""):
                return True  # somebody else was faster
            effect()
    except (AppError, IntegrityError) as error:
        logger.warning("webhook_failed", webhook=row.pk, type=row.type, error=str(error))
        InboxEvent.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1, error=str(error)[:300])
        return False
    return True


def _effect_of(row: InboxEvent) -> Effect:
    """Fetch what the event is about; what it returns changes the books and calls nobody."""
    kind = KINDS.get(row.type)
    return kind.effect(row) if kind else _nothing


def _session_effect(row: InboxEvent) -> Effect:
    session = stripe.session(row.object_id)
    if session.payment_intent_id:
        return _payment_effect(stripe.payment(session.payment_intent_id))
    if session.setup_intent_id and session.status == "complete":
        card = stripe.saved_card(session.setup_intent_id)
        return lambda: topups.keep_card(card)
    if session.status != "expired":
        return _nothing
    rows = TopUp.objects.filter(session_id=session.id, state=TopUp.State.PENDING)
    return lambda: rows.update(state=TopUp.State.CANCELED, error="The payment page was left.")


def _intent_effect(row: InboxEvent) -> Effect:
    return _payment_effect(stripe.payment(row.object_id))


def _payment_effect(payment: stripe.Payment) -> Effect:
    topup_id = _known(payment)
    return _nothing if topup_id is None else (lambda: topups.settle(topup_id, payment))


def _dispute_effect(row: InboxEvent) -> Effect:
    told = returns_at_stripe.disputed(row.object_id)
    pays, invoice_id = _paid_with(told.payment_intent_id)

    def both() -> None:
        pays()  # a dispute can be told of before its payment
        disputes.settle(told, invoice_id=invoice_id)

    return both


def _refund_effect(row: InboxEvent) -> Effect:
    told = returns_at_stripe.refunded(row.object_id)
    pays, invoice_id = _paid_with(told.payment_intent_id)

    def both() -> None:
        pays()
        refunds.settle(told, invoice_id=invoice_id)

    return both


def _paid_with(payment_intent_id: str) -> tuple[Effect, str]:
    """What the payment itself does, of which something is told, and the invoice that it paid, if it paid one."""
    if not payment_intent_id:
        return _nothing, ""
    payment = stripe.payment(payment_intent_id)
    if _known(payment) is not None:
        return _payment_effect(payment), ""
    invoice_id = invoicing.paid_by(payment_intent_id)
    return (_taken_over(invoice_id) if invoice_id else _nothing), invoice_id


def _invoice_effect(row: InboxEvent) -> Effect:
    return _taken_over(row.object_id)


def _taken_over(invoice_id: str) -> Effect:
    told = invoicing.invoice(invoice_id)
    return lambda: invoices.settle(told)


def _transfer_effect(row: InboxEvent) -> Effect:
    told = connect.transferred(row.object_id)
    return lambda: payouts.settle(told)


def _recipient_effect(row: InboxEvent) -> Effect:
    if not row.object_id:
        return _nothing
    told = connect.connected(row.object_id)
    return lambda: payouts.take_over(told)


def _bank_effect(row: InboxEvent) -> Effect:
    """A recipient's bank; what goes to our own is no recipient's."""
    recipient_id = str(row.payload.get("account") or "")
    if not Recipient.objects.filter(recipient_id=recipient_id).exists():
        return _nothing
    told = connect.bank_payout(bank_payout_id=row.object_id, recipient_id=recipient_id)
    return lambda: payouts.note_bank(recipient_id=recipient_id, told=told)


def _dropped_effect(row: InboxEvent) -> Effect:
    report = metering_gateway.report(row.pk)
    return lambda: metering.refuse(report)


def _known(payment: stripe.Payment) -> UUID | None:
    """Our top-up of a payment; None for one that was made at Stripe without us."""
    try:
        found = TopUp.objects.filter(pk=UUID(payment.topup_id)).values_list("pk", flat=True).first()
    except ValueError:
        return None
    return found


def _nothing() -> None:
    """The effect of an event that does not concern us."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event that we ask Stripe for: at which address, what it does, and in words."""

    way: Way
    effect: Callable[[InboxEvent], Effect]
    says: str


_SESSION: Final = Kind("snapshot", _session_effect, "a payment page was paid, left with a card, or has expired")
_INTENT: Final = Kind("snapshot", _intent_effect, "a payment is credited, waits for its bank, was refused or canceled")
_DISPUTE: Final = Kind("snapshot", _dispute_effect, "a bank takes a payment back, or gives it again")
_REFUND: Final = Kind("snapshot", _refund_effect, "a refund of ours or of the dashboard is sent, or has failed")
_INVOICE: Final = Kind("snapshot", _invoice_effect, "an invoice for usage as it stands: asked, paid, late, void")
_TRANSFER: Final = Kind("snapshot", _transfer_effect, "a payout of earnings has left us, or was taken back")
_BANK: Final = Kind("connected accounts", _bank_effect, "the bank of one whom we pay has the money, or refused it")
_RECIPIENT: Final = Kind("thin", _recipient_effect, "how one whom we pay stands at Stripe")
_DROPPED: Final = Kind("thin", _dropped_effect, "usage that Stripe took and then dropped: its rows wait for staff")

# Every kind of event that does anything; docs/operations.md has the same as the list to choose at Stripe.
KINDS: Final[Mapping[str, Kind]] = {
    "checkout.session.completed": _SESSION,
    "checkout.session.async_payment_succeeded": _SESSION,
    "checkout.session.async_payment_failed": _SESSION,
    "checkout.session.expired": _SESSION,
    "payment_intent.succeeded": _INTENT,
    "payment_intent.payment_failed": _INTENT,
    "payment_intent.requires_action": _INTENT,
    "payment_intent.canceled": _INTENT,
    "charge.dispute.created": _DISPUTE,
    "charge.dispute.updated": _DISPUTE,
    "charge.dispute.funds_withdrawn": _DISPUTE,
    "charge.dispute.funds_reinstated": _DISPUTE,
    "charge.dispute.closed": _DISPUTE,
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "refund.failed": _REFUND,
    "charge.refund.updated": _REFUND,
    "invoice.finalized": _INVOICE,
    "invoice.updated": _INVOICE,
    "invoice.paid": _INVOICE,
    "invoice.payment_succeeded": _INVOICE,
    "invoice.payment_failed": _INVOICE,
    "invoice.payment_action_required": _INVOICE,
    "invoice.overdue": _INVOICE,
    "invoice.marked_uncollectible": _INVOICE,
    "invoice.voided": _INVOICE,
    "transfer.created": _TRANSFER,
    "transfer.updated": _TRANSFER,
    "transfer.reversed": _TRANSFER,
    "payout.created": _BANK,
    "payout.updated": _BANK,
    "payout.paid": _BANK,
    "payout.failed": _BANK,
    "payout.canceled": _BANK,
    **dict.fromkeys(connect.ACCOUNT_EVENTS, _RECIPIENT),
    **dict.fromkeys(sorted(metering_gateway.DROPPED), _DROPPED),
}
