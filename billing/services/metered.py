"""Which accounts pay afterwards, and how far they may go below zero: staff's decision, kept with its reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.models import AutoTopUp, Customer, Invoice, Subscription, Terms, Wallet
from billing.services import ledger
from marketplace.lib.errors import Conflict, InvalidRequest
from marketplace.lib.money import NANO, format_usd
from marketplace.models import Account, User

MOST_NANO: Final = 1_000_000 * NANO
LONGEST_REASON: Final = 300
INVOICES_SHOWN: Final = 24


def is_metered(account_id: int) -> bool:
    """Whether the account pays by invoice, afterwards."""
    return ledger.wallet_of(account_id).credit_limit_nano > 0


@transaction.atomic
def decide(*, account: Account, credit_limit_nano: int, reason: str, decided_by: User | None) -> Terms:
    """Let an account pay afterwards, up to a limit that its holds draw on; 0 makes it prepaid again.

    Credit that is there stays and widens what can be spent; usage is invoiced all the same. Automatic top-up ends.
    `decided_by` is None for a command at the host. Raises InvalidRequest for a limit or reason out of bounds, Conflict
    for a frozen wallet, for a limit below what is owed and held, and for prepaid while an invoice is open.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidRequest(f"Say why, in 1 to {LONGEST_REASON} characters.", metadata={"field": "reason"})
    if not 0 <= credit_limit_nano <= MOST_NANO:
        raise InvalidRequest(
            f"A credit limit is between $0 and ${format_usd(MOST_NANO)}.", metadata={"field": "credit_limit"}
        )
    if credit_limit_nano == 0 and open_invoices(account_id=account.pk):
        raise Conflict("An invoice is still open: the account is prepaid again once it is paid.")
    wallet = ledger.wallet_of(account.pk)
    covered = Wallet.objects.filter(pk=wallet.pk, is_frozen=False, balance_nano__gte=F("held_nano") - credit_limit_nano)
    if not covered.update(credit_limit_nano=credit_limit_nano):
        wallet.refresh_from_db()
        if wallet.is_frozen:
            raise Conflict(f"This wallet is frozen. {wallet.frozen_because}".strip())
        used = wallet.held_nano - wallet.balance_nano
        raise Conflict(f"${format_usd(used)} is owed or held now: the limit cannot be less.")
    _bound_usage(account, is_metered=credit_limit_nano > 0)
    if credit_limit_nano:
        AutoTopUp.objects.filter(account=account).update(is_enabled=False)
    return Terms.objects.create(
        account=account, credit_limit_nano=credit_limit_nano, reason=reason, decided_by=decided_by
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a post-paid account stands, for its page; amounts in nano-USD."""

    limit_nano: int
    used_nano: int
    invoices: Sequence[Invoice]
    is_subscribed: bool
    next_invoice: dt.date
    card: str

    @property
    def asked_nano(self) -> int:
        """What of it has been invoiced and not paid."""
        return sum(one.owed_nano for one in self.invoices)

    @property
    def uninvoiced_nano(self) -> int:
        """What no invoice has asked for yet; credit that was there before counts against it."""
        return max(0, self.used_nano - self.asked_nano)


def standing(*, account_id: int, now: dt.datetime | None = None) -> Standing | None:
    """How an account stands that pays by invoice, or has invoices to pay still; None for others."""
    wallet = ledger.wallet_of(account_id)
    invoices = list(Invoice.objects.for_account(account_id).order_by("-period_end")[:INVOICES_SHOWN])
    if not wallet.credit_limit_nano and not any(one.owed_nano for one in invoices):
        return None
    today = (now or timezone.now()).astimezone(dt.UTC).date()
    return Standing(
        limit_nano=wallet.credit_limit_nano,
        used_nano=max(0, -wallet.balance_nano),
        invoices=invoices,
        is_subscribed=Subscription.objects.filter(account=account_id, canceled_at=None).exists(),
        next_invoice=(today.replace(day=1) + dt.timedelta(days=32)).replace(day=1),
        card=Customer.objects.filter(account=account_id).values_list("card", flat=True).first() or "",
    )


def _bound_usage(account: Account, *, is_metered: bool) -> None:
    """What is charged while an account is prepaid is not invoiced."""
    now = timezone.now()
    running = Subscription.objects.filter(account=account, canceled_at=None)
    if not is_metered:
        running.filter(ends_at=None).update(ends_at=now)
        return
    # Collected to its end, and not canceled yet: it goes on from here; else as if it had never ended.
    running.filter(collected_until__gte=F("ends_at")).update(collected_until=now)
    running.update(ends_at=None)


def open_invoices(*, account_id: int) -> list[Invoice]:
    """What the account has been asked to pay and has not, the oldest first."""
    rows = Invoice.objects.for_account(account_id)
    return list(rows.owed().order_by("period_end"))
