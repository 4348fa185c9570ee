"""What happens to an account's money and is told at once, in the transaction that says so."""

from __future__ import annotations

from typing import Any

from billing.models import Alert, Invoice, Payout, TopUp
from billing.services.alerts import crossings, rules
from marketplace.lib import ids
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO_PER_CENT, format_usd
from marketplace.models import Account


def test(*, account: Account) -> Alert:
    """Send an alert that says that alerts arrive. Raises InvalidRequest when there is no way to send it by."""
    rule = rules.rule_of(account_id=account.pk)
    if not rule.by_mail and not rule.webhook_url:
        raise InvalidRequest("There is no way to send it by: choose mail or give an address, and save.")
    made = crossings.tell(
        account_id=account.pk,
        kind=Alert.Kind.TEST,
        crossing=f"test:{ids.random_token(12)}",
        subject="This is a test",
        text="Alerts of this account arrive here. Nothing has happened to its money.",
        data={},
    )
    assert made is not None  # noqa: S101  no other has its crossing
    return made


def topup_failed(*, topup: TopUp, message: str, stops: bool) -> None:
    """A saved card was refused. In the transaction that says so."""
    end = (
        "Automatic top-up is switched off now. Change the card by topping up by hand, then switch it on again."
        if stops
        else "We will try again later. You can top up by hand meanwhile."
    )
    crossings.tell(
        account_id=topup.account_id,
        kind=Alert.Kind.TOPUP_FAILED,
        crossing=f"topup:{topup.pk}:failed",
        subject="Automatic top-up failed",
        text=f"The card was not charged ${_amount(topup)}: {message}\n\n{end}",
        data=_of_topup(topup) | {"reason": message, "is_switched_off": stops},
    )


def confirmation_needed(*, topup: TopUp) -> None:
    """The bank wants its customer to confirm a payment."""
    crossings.tell(
        account_id=topup.account_id,
        kind=Alert.Kind.CONFIRMATION_NEEDED,
        crossing=f"topup:{topup.pk}:confirm",
        subject="Confirm your top-up",
        text=f"Your bank wants you to confirm the payment of ${_amount(topup)}. Until then nothing is charged.",
        data=_of_topup(topup),
    )


def invoice_refused(*, invoice: Invoice) -> None:
    """The card on file did not pay an invoice; told for each try of Stripe's."""
    text = f"The card was not charged ${_asked(invoice)} for invoice {invoice.number}."
    text += " Stripe tries again; you can pay it now."
    crossings.tell(
        account_id=invoice.account_id,
        kind=Alert.Kind.INVOICE_REFUSED,
        crossing=f"invoice:{invoice.pk}:refused:{invoice.attempts}",
        subject="Invoice not paid",
        text=f"{text}\n\n{invoice.url}".strip(),
        data=_of_invoice(invoice),
    )


def invoice_overdue(*, invoice: Invoice) -> None:
    """An invoice is overdue, and requests are refused."""
    text = f"Invoice {invoice.number} of ${_asked(invoice)} is overdue: requests are refused until it is paid."
    crossings.tell(
        account_id=invoice.account_id,
        kind=Alert.Kind.INVOICE_OVERDUE,
        crossing=f"invoice:{invoice.pk}:overdue:{ids.random_token(8)}",  # overdue again is told again
        subject="Invoice overdue",
        text=f"{text}\n\n{invoice.url}".strip(),
        data=_of_invoice(invoice),
    )


def payout_sent(*, payout: Payout) -> None:
    """Earnings are on their way."""
    text = "of your earnings were sent to your account at Stripe, which pays your bank."
    _of_payout(payout, Alert.Kind.PAYOUT_SENT, payout.amount_nano, "Payout sent", text)


def payout_failed(*, payout: Payout) -> None:
    """Stripe did not take a payout."""
    text = f"could not be sent: {payout.error}\n\nThey are owed to you; we try again."
    _of_payout(payout, Alert.Kind.PAYOUT_FAILED, payout.amount_nano, "Payout failed", text)


def payout_returned(*, payout: Payout, amount_nano: int) -> None:
    """What was sent was taken back."""
    text = "of a payout were taken back at Stripe. They are owed to you; payouts are paused."
    _of_payout(payout, Alert.Kind.PAYOUT_RETURNED, amount_nano, "Payout taken back", text)


def _of_topup(topup: TopUp) -> dict[str, Any]:
    return {"topup_id": str(topup.pk), "amount_usd": _amount(topup)}


def _of_payout(payout: Payout, kind: str, amount_nano: int, subject: str, text: str) -> None:
    crossings.tell(
        account_id=payout.account_id,
        kind=kind,
        crossing=f"payout:{payout.pk}:{ids.random_token(8)}",  # the caller tells each once
        subject=subject,
        text=f"${format_usd(amount_nano)} {text}",
        data={"payout_id": str(payout.pk), "amount_usd": format_usd(amount_nano)},
    )


def _of_invoice(invoice: Invoice) -> dict[str, Any]:
    return {"invoice": invoice.number, "amount_usd": _asked(invoice), "url": invoice.url}


def _asked(invoice: Invoice) -> str:
    return format_usd(invoice.amount_cents * NANO_PER_CENT)


def _amount(topup: TopUp) -> str:
    return format_usd(topup.total_cents * NANO_PER_CENT)
