"""Mail to those who manage an account's money, once the transaction has committed."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

from billing.models import Invoice, Payout, TopUp
from marketplace.lib.money import format_usd
from marketplace.models import Member

logger = structlog.get_logger(__name__)

NANO_PER_CENT = 10_000_000


def topup_failed(*, topup: TopUp, message: str, stops: bool) -> None:
    """A saved card was refused."""
    end = (
        "Automatic top-up is switched off now. Change the card by topping up by hand, then switch it on again."
        if stops
        else "We will try again later. You can top up by hand meanwhile."
    )
    _tell(topup, "Automatic top-up failed", f"The card was not charged ${_amount(topup)}: {message}\n\n{end}")


def confirmation_needed(*, topup: TopUp) -> None:
    """The bank wants its customer to confirm a payment."""
    _tell(
        topup,
        "Confirm your top-up",
        f"Your bank wants you to confirm the payment of ${_amount(topup)}. Until then nothing is charged.",
    )


def invoice_refused(*, invoice: Invoice) -> None:
    """The card on file did not pay an invoice."""
    amount = format_usd(invoice.amount_cents * NANO_PER_CENT)
    text = f"The card was not charged ${amount} for invoice {invoice.number}. Stripe tries again; you can pay it now."
    _tell(invoice, "Invoice not paid", f"{text}\n\n{invoice.url}".strip())


def invoice_overdue(*, invoice: Invoice) -> None:
    """An invoice is overdue, and requests are refused."""
    amount = format_usd(invoice.amount_cents * NANO_PER_CENT)
    text = f"Invoice {invoice.number} of ${amount} is overdue: requests are refused until it is paid."
    _tell(invoice, "Invoice overdue", f"{text}\n\n{invoice.url}".strip())


def payout_sent(*, payout: Payout) -> None:
    """Earnings are on their way."""
    text = (
        f"${format_usd(payout.amount_nano)} of your earnings were sent to your account at Stripe, which pays your bank."
    )
    _tell(payout, "Payout sent", text, page="earnings")


def payout_failed(*, payout: Payout) -> None:
    """Stripe did not take a payout."""
    text = f"${format_usd(payout.amount_nano)} could not be sent: {payout.error}\n\nThey are owed to you; we try again."
    _tell(payout, "Payout failed", text, page="earnings")


def payout_returned(*, payout: Payout, amount_nano: int) -> None:
    """What was sent was taken back."""
    text = (
        f"${format_usd(amount_nano)} of a payout were taken back at Stripe. They are owed to you; payouts are paused."
    )
    _tell(payout, "Payout taken back", text, page="earnings")


def _amount(topup: TopUp) -> str:
    return format_usd(topup.total_cents * NANO_PER_CENT)


def _tell(about: TopUp | Invoice | Payout, subject: str, text: str, *, page: str = "credits") -> None:
    account = about.account
    link = f"{settings.PUBLIC_URL.rstrip('/')}/{page}" if settings.PUBLIC_URL else f"the {page} page"
    people = Member.objects.filter(account=account, role__in=[Member.Role.OWNER, Member.Role.ADMIN])
    addresses = list(people.values_list("user__email", flat=True))
    body = f"{text}\n\nAccount: {account.slug}\nSee {link}"
    transaction.on_commit(lambda: _send(subject, body, addresses))


def _send(subject: str, body: str, addresses: list[str]) -> None:
    try:
        send_mail(subject, body, None, addresses)
    except OSError as error:  # a mail server that is away must not undo what is booked
        logger.warning("mail_failed", subject=subject, error=str(error))
