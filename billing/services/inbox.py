"""Stripe's webhooks: kept, then applied once. The mark `done` and the effect are one transaction.

What an event says is not believed: the object that it names is fetched as it stands, and its state taken
over. So order and number of events do not matter, and an event that failed is simply applied again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F

from billing.gateways.stripe import client as stripe
from billing.gateways.stripe import connect, invoicing
from billing.gateways.stripe import metering as metering_gateway
from billing.models import InboxEvent, Recipient, TopUp
from billing.services import disputes, invoices, metering, payouts, refunds, topups
from marketplace.lib.errors import AppError

logger = structlog.get_logger(__name__)

# After so many tries an event waits for a person; the nightly walk brings it back once a day.
MOST_ATTEMPTS: Final = 12

Effect = Callable[[], object]


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
    kind, object_id = row.type, row.object_id
    if kind.startswith("checkout.session."):
        return _session_effect(stripe.session(object_id))
    if kind.startswith("payment_intent."):
        return _payment_effect(stripe.payment(object_id))
    if kind.startswith("charge.dispute."):
        return _dispute_effect(stripe.disputed(object_id))
    if kind.startswith("refund.") or kind == "charge.refund.updated":
        return _refund_effect(stripe.refunded(object_id))
    if kind.startswith("invoice."):
        return _invoice_effect(invoicing.invoice(object_id))
    if kind in metering_gateway.DROPPED:
        report = metering_gateway.report(row.pk)
        return lambda: metering.refuse(report)
    if kind.startswith("transfer."):
        transfer = connect.transferred(object_id)
        return lambda: payouts.settle(transfer)
    if kind.startswith(connect.ACCOUNT_EVENTS) and object_id:
        recipient = connect.connected(object_id)
        return lambda: payouts.take_over(recipient)
    if kind.startswith("payout."):
        return _bank_effect(object_id, str(row.payload.get("account") or ""))
    return _nothing


def _session_effect(session: stripe.Session) -> Effect:
    if session.payment_intent_id:
        return _payment_effect(stripe.payment(session.payment_intent_id))
    if session.setup_intent_id and session.status == "complete":
        card = stripe.saved_card(session.setup_intent_id)
        return lambda: topups.keep_card(card)
    if session.status != "expired":
        return _nothing
    rows = TopUp.objects.filter(session_id=session.id, state=TopUp.State.PENDING)
    return lambda: rows.update(state=TopUp.State.CANCELED, error="The payment page was left.")


def _payment_effect(payment: stripe.Payment) -> Effect:
    topup_id = _known(payment)
    return _nothing if topup_id is None else (lambda: topups.settle(topup_id, payment))


def _dispute_effect(told: stripe.Disputed) -> Effect:
    pays, invoice_id = _paid_with(told.payment_intent_id)

    def both() -> None:
        pays()  # a dispute can be told of before its payment
        disputes.settle(told, invoice_id=invoice_id)

    return both


def _refund_effect(told: stripe.Refunded) -> Effect:
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
    return (_invoice_effect(invoicing.invoice(invoice_id)) if invoice_id else _nothing), invoice_id


def _invoice_effect(told: invoicing.Invoiced) -> Effect:
    return lambda: invoices.settle(told)


def _bank_effect(bank_payout_id: str, recipient_id: str) -> Effect:
    """A recipient's bank; what goes to our own is no recipient's."""
    if not Recipient.objects.filter(recipient_id=recipient_id).exists():
        return _nothing
    told = connect.bank_payout(bank_payout_id=bank_payout_id, recipient_id=recipient_id)
    return lambda: payouts.note_bank(recipient_id=recipient_id, told=told)


def _known(payment: stripe.Payment) -> UUID | None:
    """Our top-up of a payment; None for one that was made at Stripe without us."""
    try:
        found = TopUp.objects.filter(pk=UUID(payment.topup_id)).values_list("pk", flat=True).first()
    except ValueError:
        return None
    return found


def _nothing() -> None:
    """The effect of an event that does not concern us."""
