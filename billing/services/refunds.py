"""Unused credit back to the card that paid for it; never promotional credit, never what is held or spent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from billing import portions
from billing.gateways.stripe import returns as returns_at_stripe
from billing.gateways.stripe import transport
from billing.gateways.stripe.returns import Refunded
from billing.models import LedgerAccount, Refund, TopUp, Wallet
from billing.services import credits, disputes, ledger, returns
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO_PER_CENT, format_usd

_DEAD = frozenset({"failed", "canceled"})
_REFUNDS = Refund.objects.select_related("topup", "invoice")


def refundable_cents(topup: TopUp) -> int:
    """How much of a top-up could go back now: what is free of the wallet, less what was a gift."""
    if topup.state != TopUp.State.PAID:
        return 0
    wallet = ledger.wallet_of(topup.account_id)
    if wallet.is_frozen or disputes.taken_back(topup):
        return 0
    bought = wallet.balance_nano - wallet.held_nano - credits.promotional_left(account_id=topup.account_id)
    return max(0, min(topup.amount_cents - topup.refunded_cents, bought // NANO_PER_CENT))


def ask(*, topup: TopUp, amount_cents: int) -> Refund:
    """Take credit out of the wallet and send it back. Raises InvalidRequest for more than is unused.

    When Stripe cannot be reached the refund stays pending and is sent by `resume`.
    """
    refund = _reserve(topup, amount_cents)
    send(refund)
    refund.refresh_from_db()
    return refund


def send(refund: Refund) -> None:
    """Tell Stripe of a refund of ours, as often as need be: it is known there by our id."""
    topup = refund.topup
    if topup is None:
        return  # of an invoice: made at Stripe, which knows it
    try:
        told = returns_at_stripe.refund(
            refund_id=str(refund.pk),
            payment_intent_id=topup.payment_intent_id or "",
            amount_cents=refund.total_cents,
        )
    except transport.Unreachable:
        return
    except transport.Rejected:
        told = Refunded("", "failed", refund.total_cents, topup.payment_intent_id or "", str(refund.pk))
    settle(told)


def resume() -> int:
    """Send refunds that Stripe has not heard of; returns how many."""
    waiting = Refund.objects.filter(state=Refund.State.PENDING, refund_id=None).select_related("topup")
    for refund in waiting:
        send(refund)
    return len(waiting)


@transaction.atomic
def settle(told: Refunded, *, invoice_id: str = "") -> bool:
    """Take over how a refund stands; True when this call changed the books. One that was made at Stripe is taken in.

    `invoice_id` is the invoice that the payment had paid, whose state the caller has taken over.
    """
    refund = _ours(told)
    if refund is None:
        return _made_at_stripe(told, invoice_id)
    if told.id:
        Refund.objects.filter(pk=refund.pk, refund_id=None).update(refund_id=told.id)
    if told.status == "succeeded":
        Refund.objects.filter(pk=refund.pk, state=Refund.State.PENDING).update(state=Refund.State.SUCCEEDED)
        return _clear(refund)
    if told.status in _DEAD:
        return _give_back(refund)
    return False


def _reserve(topup: TopUp, amount_cents: int) -> Refund:
    if not 0 < amount_cents <= refundable_cents(topup):
        left = format_usd(refundable_cents(topup) * NANO_PER_CENT)
        raise InvalidRequest(f"Up to ${left} of this top-up is unused and can be refunded.")
    amount = amount_cents * NANO_PER_CENT
    with transaction.atomic():
        taken = Wallet.objects.filter(
            account_id=topup.account_id, is_frozen=False, balance_nano__gte=F("held_nano") + amount
        ).update(balance_nano=F("balance_nano") - amount)
        rest = TopUp.objects.filter(pk=topup.pk, refunded_cents__lte=F("amount_cents") - amount_cents)
        if not taken or not rest.update(refunded_cents=F("refunded_cents") + amount_cents):
            raise InvalidRequest("This credit has just been used: look again at what is left.")
        refund = Refund.objects.create(topup=topup, amount_cents=amount_cents, tax_cents=_take_tax(topup))
        legs = _legs(refund, sign=-1, other=LedgerAccount.Kind.REFUNDS_CLEARING)
        ledger.post(kind="refund", reference=str(refund.pk), legs=legs, memo="Refund of unused credit")
    return refund


def _take_tax(topup: TopUp) -> int:
    """The tax that goes back with what was just taken: what is due on all that went back, less what went before."""
    now = TopUp.objects.get(pk=topup.pk)
    due = portions.tax_on(now.refunded_cents, amount=now.amount_cents, fee=now.fee_cents, tax=now.tax_cents)
    tax = max(0, due - now.refunded_tax_cents)
    TopUp.objects.filter(pk=topup.pk).update(refunded_tax_cents=F("refunded_tax_cents") + tax)
    return tax


def _ours(told: Refunded) -> Refund | None:
    try:
        found = _REFUNDS.filter(pk=UUID(told.our_id)).first() if told.our_id else None
    except ValueError:
        found = None
    return found or _REFUNDS.filter(refund_id=told.id).first()


def _clear(refund: Refund) -> bool:
    amount = refund.total_cents * NANO_PER_CENT
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.REFUNDS_CLEARING, None, -amount),
        (LedgerAccount.Kind.STRIPE_CLEARING, None, amount),
    ]
    return ledger.post_once(kind="refund_cleared", reference=str(refund.pk), legs=legs, memo="Refund sent")


def _give_back(refund: Refund) -> bool:
    """A refund that the card did not take: the credit is the customer's again. It may fail after it succeeded."""
    was_cleared = ledger.is_posted(kind="refund_cleared", reference=str(refund.pk))
    away = LedgerAccount.Kind.STRIPE_CLEARING if was_cleared else LedgerAccount.Kind.REFUNDS_CLEARING
    legs = _legs(refund, sign=1, other=away)
    if not ledger.post_once(kind="refund_failed", reference=str(refund.pk), legs=legs, memo="Refund that failed"):
        return False
    Refund.objects.filter(pk=refund.pk).update(state=Refund.State.FAILED)
    _note(refund, sign=-1)
    returns.give(refund, posted=legs)
    return True


def _made_at_stripe(told: Refunded, invoice_id: str) -> bool:
    """A refund that staff made in Stripe's dashboard: the credit goes, even where it was spent already."""
    source = returns.source_of(payment_intent_id=told.payment_intent_id, invoice_id=invoice_id)
    if source is None or told.status in _DEAD:
        return False
    portion = returns.cut(source, told.amount_cents)
    refund = Refund.objects.create(
        **returns.named(source),
        amount_cents=portion.credit,
        rounding_nano=returns.rounding_nano(source, portion.credit),
        tax_cents=portion.tax,
        fee_cents=portion.fee,
        refund_id=told.id,
        state=Refund.State.SUCCEEDED,
    )
    _note(refund, sign=1)
    returns.take(refund, because="A payment was refunded after use.")
    # As if it had been cleared here: should it fail later, it is given back from there.
    legs = _legs(refund, sign=-1, other=LedgerAccount.Kind.STRIPE_CLEARING)
    return ledger.post_once(kind="refund_cleared", reference=str(refund.pk), legs=legs, memo="Refund")


def _note(refund: Refund, *, sign: int) -> None:
    """Count on what was paid that so much more of it went back, or came again."""
    rows: QuerySet[Any] = type(refund.source)._default_manager.filter(pk=refund.source.pk)
    rows.update(
        refunded_cents=F("refunded_cents") + refund.amount_cents * sign,
        refunded_tax_cents=F("refunded_tax_cents") + refund.tax_cents * sign,
    )


def _legs(refund: Refund, *, sign: int, other: str) -> list[ledger.Leg]:
    """A refund out of the wallet (sign -1) or back into it, with its tax and fee, against another account."""
    unit = NANO_PER_CENT * sign
    return [
        *returns.legs(refund, sign=sign),
        (LedgerAccount.Kind.TAX_PAYABLE, None, refund.tax_cents * unit),
        (LedgerAccount.Kind.FEES, None, refund.fee_cents * unit),
        (other, None, -refund.total_cents * unit),
    ]
