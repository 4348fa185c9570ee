"""Unused credit back to the card that paid for it; never promotional credit, never what is held or spent."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F

from billing import portions
from billing.gateways.stripe import client as stripe
from billing.gateways.stripe import transport
from billing.gateways.stripe.client import Refunded
from billing.models import LedgerAccount, Refund, TopUp, Wallet
from billing.services import credits, disputes, ledger
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO_PER_CENT, format_usd

_DEAD = frozenset({"failed", "canceled"})


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
    try:
        told = stripe.refund(
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
def settle(told: Refunded) -> bool:
    """Take over how a refund stands; True when this call changed the books. One that was made at Stripe is taken in."""
    refund = _ours(told)
    if refund is None:
        return _made_at_stripe(told)
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
        _post("refund", refund, sign=-1, other=LedgerAccount.Kind.REFUNDS_CLEARING, memo="Refund of unused credit")
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
        found = Refund.objects.filter(pk=UUID(told.our_id)).select_related("topup").first() if told.our_id else None
    except ValueError:
        found = None
    return found or Refund.objects.filter(refund_id=told.id).select_related("topup").first()


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
    source = LedgerAccount.Kind.STRIPE_CLEARING if was_cleared else LedgerAccount.Kind.REFUNDS_CLEARING
    if not _post("refund_failed", refund, sign=1, other=source, memo="Refund that failed"):
        return False
    Refund.objects.filter(pk=refund.pk).update(state=Refund.State.FAILED)
    TopUp.objects.filter(pk=refund.topup_id).update(
        refunded_cents=F("refunded_cents") - refund.amount_cents,
        refunded_tax_cents=F("refunded_tax_cents") - refund.tax_cents,
    )
    ledger.credit(account_id=refund.topup.account_id, amount_nano=refund.amount_cents * NANO_PER_CENT)
    return True


def _made_at_stripe(told: Refunded) -> bool:
    """A refund that staff made in Stripe's dashboard: the credit goes, even where it was spent already."""
    topup = TopUp.objects.filter(payment_intent_id=told.payment_intent_id).first()
    if topup is None or told.status in _DEAD:
        return False
    portion = portions.of(
        told.amount_cents,
        amount=topup.amount_cents,
        fee=topup.fee_cents,
        tax=topup.tax_cents,
        credit_left=topup.amount_cents - topup.refunded_cents,
        tax_left=topup.tax_cents - topup.refunded_tax_cents,
    )
    refund = Refund.objects.create(
        topup=topup,
        amount_cents=portion.credit,
        tax_cents=portion.tax,
        fee_cents=portion.fee,
        refund_id=told.id,
        state=Refund.State.SUCCEEDED,
    )
    TopUp.objects.filter(pk=topup.pk).update(
        refunded_cents=F("refunded_cents") + portion.credit, refunded_tax_cents=F("refunded_tax_cents") + portion.tax
    )
    ledger.take_back(
        account_id=topup.account_id,
        amount_nano=portion.credit * NANO_PER_CENT,
        because="A payment was refunded after use.",
    )
    # As if it had been cleared here: should it fail later, it is given back from there.
    return _post("refund_cleared", refund, sign=-1, other=LedgerAccount.Kind.STRIPE_CLEARING, memo="Refund")


def _post(kind: str, refund: Refund, *, sign: int, other: str, memo: str) -> bool:
    """Book a refund out of the wallet (sign -1) or back into it, with its tax and fee, against another account."""
    unit = NANO_PER_CENT * sign
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, refund.topup.account_id, refund.amount_cents * unit),
        (LedgerAccount.Kind.TAX_PAYABLE, None, refund.tax_cents * unit),
        (LedgerAccount.Kind.FEES, None, refund.fee_cents * unit),
        (other, None, -refund.total_cents * unit),
    ]
    return ledger.post_once(kind=kind, reference=str(refund.pk), legs=legs, memo=memo)
