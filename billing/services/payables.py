"""Settling a month with those who send an invoice: what our books say of it, what was paid by bank, the difference."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from billing.models import LedgerAccount, PaidInvoice, Recipient
from billing.services import balances, daybook, ledger
from billing.services.earnings import EARNED, SIDES, TITLES, Line, next_month
from marketplace.lib.errors import Conflict, InvalidRequest, NotFound
from marketplace.lib.money import NANO_PER_CENT, format_usd
from marketplace.models import Account, User

MONTHS_SHOWN: Final = 12
# A difference up to this is the cents of an invoice; a larger one is somebody's decision.
CENTS_OF_ROUNDING: Final = 1
SETTLED: Final = "This month is settled already, or this invoice was recorded for another one."


@dataclass(frozen=True, slots=True)
class Payable:
    """What an account earned in a month with one of its providers (or as a publisher), and how it was paid."""

    account: Account
    side: str
    provider: str
    month: dt.date
    earned_nano: int
    paid: PaidInvoice | None
    by_stripe: bool

    @property
    def title(self) -> str:
        """What it was earned as."""
        return TITLES[LedgerAccount.Kind(self.side)]

    @property
    def is_over(self) -> bool:
        """Whether the month can be settled."""
        return next_month(self.month) <= timezone.now().astimezone(dt.UTC).date()


def listed() -> list[Payable]:
    """All accounts' months of the last year, the latest first."""
    first = timezone.now().astimezone(dt.UTC).date().replace(day=1)
    for _ in range(MONTHS_SHOWN):
        first = (first - dt.timedelta(days=1)).replace(day=1)
    found = daybook.sums(by=("month", "owner", "side", "provider"), sides=SIDES, since=first, kinds=EARNED)
    accounts = Account.objects.in_bulk({owner for _, owner, _, _ in found})
    paid = {
        (row.month, row.account_id, row.side, row.provider): row for row in PaidInvoice.objects.filter(month__gte=first)
    }
    connected = set(Recipient.objects.filter(is_active=True).values_list("pk", flat=True))
    rows = []
    for name, total in found.items():
        month, owner, side, provider = name
        by_stripe = owner in connected
        rows.append(Payable(accounts[owner], side, provider, month, total.amount_nano, paid.get(name), by_stripe))
    return sorted(rows, key=lambda row: (-row.month.toordinal(), row.account.slug, row.side, row.provider))


def find(*, slug: str, side: str, provider: str, year: int, month: int) -> Payable:
    """One account's month. Raises NotFound for one in which it earned nothing so."""
    try:
        first = dt.date(year, month, 1)
        until = next_month(first)
    except (ValueError, OverflowError):
        raise NotFound("There is no such month: write 2026-11.") from None
    account = Account.objects.filter(slug=slug).first()
    if account is None or side not in SIDES:
        raise NotFound("There is no such account.")
    found = daybook.sums(
        by=("provider",), sides=[side], owner_id=account.pk, since=first, until=until, kinds=EARNED
    ).get((provider,))
    if found is None:
        raise NotFound("Nothing was earned so in this month.")
    paid = PaidInvoice.objects.for_account(account.pk).filter(side=side, provider=provider, month=first).first()
    by_stripe = Recipient.objects.filter(account=account, is_active=True).exists()
    return Payable(account, side, provider, first, found.amount_nano, paid, by_stripe)


def lines(payable: Payable) -> list[Line]:
    """The month by model and endpoint, corrections in it, to be laid beside the invoice."""
    found = daybook.sums(
        by=("provider", "model", "endpoint"),
        sides=[payable.side],
        owner_id=payable.account.pk,
        since=payable.month,
        until=next_month(payable.month),
        kinds=EARNED,
    )
    rows = [
        Line(payable.side, model, provider, endpoint, total)
        for (provider, model, endpoint), total in found.items()
        if provider == payable.provider
    ]
    return sorted(rows, key=lambda row: (-row.total.amount_nano, row.model, row.endpoint))


@transaction.atomic
def record(
    *,
    payable: Payable,
    invoice: str,
    invoice_cents: int,
    paid_on: dt.date,
    recorded_by: User,
    accept_difference: bool = False,
) -> PaidInvoice:
    """Book an invoice that was paid by bank: the month is settled, and what was paid beyond our books is our loss.

    Raises InvalidRequest for a month that is not over or a day to come; Conflict for a month or invoice that is
    settled, an account that Stripe pays, more than is still owed, and a difference that nobody has accepted.
    """
    invoice = invoice.strip()
    if not payable.is_over:
        raise InvalidRequest("The month is not over: its lines may still change.")
    if paid_on > timezone.now().astimezone(dt.UTC).date():
        raise InvalidRequest("An invoice is recorded when it has been paid.", metadata={"field": "paid_on"})
    account_id = payable.account.pk
    # A payout that begins meanwhile waits here for us.
    Recipient.objects.filter(pk=account_id).update(try_after=F("try_after"))
    if Recipient.objects.filter(pk=account_id, is_active=True).exists():
        raise Conflict(f"{payable.account} is paid through Stripe: an invoice would pay it twice.")
    settled = PaidInvoice.objects.for_account(account_id).filter(side=payable.side, provider=payable.provider)
    if settled.filter(month=payable.month).exists():
        raise Conflict(SETTLED)
    owed = balances.of(kind=payable.side, owner_id=account_id)
    if payable.earned_nano > owed:
        raise Conflict(f"Of this month and later ones only ${format_usd(owed)} is still owed: the rest was paid out.")
    difference = invoice_cents * NANO_PER_CENT - payable.earned_nano
    if abs(difference) >= CENTS_OF_ROUNDING * NANO_PER_CENT and not accept_difference:
        sign, booked = "more" if difference > 0 else "less", format_usd(payable.earned_nano)
        raise Conflict(
            f"The invoice is ${format_usd(abs(difference))} {sign} than our books say (${booked}). "
            "Compare its lines, then accept the difference."
        )
    try:
        with transaction.atomic():
            made = PaidInvoice.objects.create(
                account=payable.account,
                side=payable.side,
                provider=payable.provider,
                month=payable.month,
                invoice=invoice,
                invoice_cents=invoice_cents,
                booked_nano=payable.earned_nano,
                paid_on=paid_on,
                recorded_by=recorded_by,
            )
    except IntegrityError:
        raise Conflict(SETTLED) from None
    legs = [
        (payable.side, account_id, -made.booked_nano),
        (LedgerAccount.Kind.SETTLEMENT_LOSS, None, -made.difference_nano),
        (LedgerAccount.Kind.BANK, None, made.invoice_nano),
    ]
    ledger.post(kind="settlement", reference=str(made.pk), legs=legs, memo=f"Invoice {invoice}"[:200])
    return made
