"""What an account has earned with its models and endpoints, what of it can be paid out, and what was.

Publishers earn royalties, operators the providers' share; both are read from the daybook, so that every number
here is the ledger's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.utils import timezone

from billing.models import LedgerAccount
from billing.services import balances, corrections, daybook
from billing.services.daybook import Total
from marketplace.lib.errors import NotFound
from marketplace.lib.money import format_usd

SIDES: Final = (LedgerAccount.Kind.PUBLISHER_PAYABLE, LedgerAccount.Kind.PROVIDER_PAYABLE)
TITLES: Final = {LedgerAccount.Kind.PUBLISHER_PAYABLE: "Royalty", LedgerAccount.Kind.PROVIDER_PAYABLE: "Provider"}
EARNED: Final = ("charge", corrections.KIND)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account is owed now, in nano-USD; owed = in delay + reserved + ready, when none is below zero."""

    owed_nano: int
    in_delay_nano: int
    reserved_nano: int
    paid_nano: int

    @property
    def ready_nano(self) -> int:
        """What could be paid out today."""
        return max(0, self.owed_nano - self.in_delay_nano - self.reserved_nano)


@dataclass(frozen=True, slots=True)
class Month:
    """A month in the list, in nano-USD."""

    first: dt.date
    earned_nano: int
    paid_nano: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one model earned at one endpoint: requests, what callers paid, and this account's part of it."""

    side: str
    model: str
    provider: str
    endpoint: int
    total: Total

    @property
    def title(self) -> str:
        """What it was earned as."""
        return TITLES[LedgerAccount.Kind(self.side)]

    @property
    def others_nano(self) -> int:
        """The part of all others: the platform's, with the hardware's where it was hosted."""
        return self.total.gross_nano - self.total.amount_nano


@dataclass(frozen=True, slots=True)
class Settlement:
    """A month in full: opening + earned - paid = closing."""

    first: dt.date
    is_over: bool
    opening_nano: int
    closing_nano: int
    lines: list[Line]
    corrections: list[Line]
    earned_nano: int
    paid_nano: int


def standing(*, account_id: int, now: dt.datetime | None = None) -> Standing:
    """How an account stands now."""
    today = (now or timezone.now()).astimezone(dt.UTC).date()
    moved = daybook.sums(by=("kind",), sides=SIDES, owner_id=account_id)
    paid = -sum(total.amount_nano for (kind,), total in moved.items() if kind not in EARNED)
    return _stand(_owed(account_id), _recent(account_id, today), today, paid_nano=paid)


def ready(*, account_id: int, now: dt.datetime | None = None) -> int:
    """Nano-USD that could be paid out today: of `standing`, what a payout looks at."""
    today = (now or timezone.now()).astimezone(dt.UTC).date()
    return _stand(_owed(account_id), _recent(account_id, today), today).ready_nano


def forecast(
    *, account_id: int, least_nano: int, first: dt.date, now: dt.datetime | None = None
) -> tuple[dt.date, int] | None:
    """The first day from `first` on at which at least so much is ready of what is earned by now, and how much then."""
    today = (now or timezone.now()).astimezone(dt.UTC).date()
    owed, recent = _owed(account_id), _recent(account_id, today)
    oldest = max(int(settings.PAYOUT_DELAY_DAYS), int(settings.PAYOUT_RESERVE_DAYS)) + 1
    for day in (first + dt.timedelta(days=n) for n in range(oldest + 1)):
        ready = _stand(owed, recent, day).ready_nano
        if ready >= least_nano:
            return day, ready
    return None


def _stand(owed: int, recent: dict[dt.date, int], today: dt.date, *, paid_nano: int = 0) -> Standing:
    young = first_younger(today, int(settings.PAYOUT_DELAY_DAYS))
    kept = first_younger(today, int(settings.PAYOUT_RESERVE_DAYS))
    in_delay = max(0, sum(amount for day, amount in recent.items() if day >= young))
    disputable = max(0, sum(amount for day, amount in recent.items() if kept <= day < young))
    return Standing(
        owed_nano=owed,
        in_delay_nano=in_delay,
        # Rounded up: the last part of a nano-dollar is kept too.
        reserved_nano=-(-disputable * int(settings.PAYOUT_RESERVE_PERCENT) // 100),
        paid_nano=paid_nano,
    )


def _owed(account_id: int) -> int:
    return sum(balances.of(kind=side, owner_id=account_id) for side in SIDES)


def _recent(account_id: int, today: dt.date) -> dict[dt.date, int]:
    """What was earned on each of the days that are not wholly free yet.

    Corrections of older charges count in the days in which they were made: what is owed has them in it at once.
    """
    since = min(first_younger(today, int(days)) for days in (settings.PAYOUT_DELAY_DAYS, settings.PAYOUT_RESERVE_DAYS))
    if since > today:
        return {}
    found = daybook.sums(by=("day",), sides=SIDES, owner_id=account_id, since=since, kinds=EARNED)
    return {day: total.amount_nano for (day,), total in found.items()}


def first_younger(today: dt.date, days: int) -> dt.date:
    """The first day since whose end less than so many whole days have passed; with zero, none is."""
    return today - dt.timedelta(days=days) if days else today + dt.timedelta(days=1)


def per_day(*, account_id: int, days: int, now: dt.datetime | None = None) -> list[tuple[dt.date, int]]:
    """(UTC day, nano-USD earned) of the last days, idle ones with zero; empty when all are."""
    today = (now or timezone.now()).astimezone(dt.UTC).date()
    first = today - dt.timedelta(days=days - 1)
    found = daybook.sums(by=("day",), sides=SIDES, owner_id=account_id, since=first, kinds=EARNED)
    if not found:
        return []
    amounts = {day: total.amount_nano for (day,), total in found.items()}
    return [(first + dt.timedelta(days=n), amounts.get(first + dt.timedelta(days=n), 0)) for n in range(days)]


def listed(*, account_id: int) -> list[Month]:
    """The months in which something was earned or paid, the latest first."""
    found: dict[dt.date, list[int]] = {}
    for (month, kind), total in daybook.sums(by=("month", "kind"), sides=SIDES, owner_id=account_id).items():
        sums = found.setdefault(month, [0, 0])
        sums[kind not in EARNED] += total.amount_nano
    return [Month(first, earned, -paid) for first, (earned, paid) in sorted(found.items(), reverse=True)]


def settlement(*, account_id: int, year: int, month: int, now: dt.datetime | None = None) -> Settlement:
    """One month in full. Raises NotFound for one that is none or in which there was nothing."""
    try:
        first = dt.date(year, month, 1)
        until = next_month(first)
    except (ValueError, OverflowError):
        raise NotFound("There is no such month: write 2026-11.") from None
    by = ("kind", "side", "model", "provider", "endpoint")
    inside = daybook.sums(by=by, sides=SIDES, owner_id=account_id, since=first, until=until)
    if not inside:
        raise NotFound("Nothing was earned in this month.")
    before = daybook.sums(by=(), sides=SIDES, owner_id=account_id, until=first)
    opening = sum(total.amount_nano for total in before.values())
    earned = sum(total.amount_nano for (kind, *_), total in inside.items() if kind in EARNED)
    moved = sum(total.amount_nano for total in inside.values())
    return Settlement(
        first=first,
        is_over=until <= (now or timezone.now()).astimezone(dt.UTC).date(),
        opening_nano=opening,
        closing_nano=opening + moved,
        lines=_lines(inside, "charge"),
        corrections=_lines(inside, corrections.KIND),
        earned_nano=earned,
        paid_nano=earned - moved,
    )


def csv_rows(*, account_id: int, month: Settlement) -> Iterator[list[str]]:
    """The month by day, model and endpoint as rows of text, the head first; `net_usd` adds up to the last."""
    yield ["day", "kind", "as", "model", "provider", "endpoint", "requests", "gross_usd", "others_usd", "net_usd"]
    yield [month.first.isoformat(), "opening", *[""] * 7, format_usd(month.opening_nano)]
    by = ("day", "kind", "side", "model", "provider", "endpoint")
    until = next_month(month.first)
    found = daybook.sums(by=by, sides=SIDES, owner_id=account_id, since=month.first, until=until)
    for (day, kind, side, model, provider, endpoint), total in sorted(found.items()):
        row = [day.isoformat(), kind, TITLES[side].lower(), model, provider, str(endpoint or ""), str(total.count)]
        parts = (total.gross_nano, total.gross_nano - total.amount_nano) if kind in EARNED else (0, 0)
        yield [*row, *map(format_usd, parts), format_usd(total.amount_nano)]
    last = until - dt.timedelta(days=1)
    yield [last.isoformat(), "closing", *[""] * 7, format_usd(month.closing_nano)]


def next_month(first: dt.date) -> dt.date:
    """The first day of the month after."""
    return (first + dt.timedelta(days=32)).replace(day=1)


def _lines(found: dict[tuple[str, str, str, str, int], Total], kind: str) -> list[Line]:
    rows = [Line(*name[1:], total) for name, total in found.items() if name[0] == kind]
    return sorted(rows, key=lambda row: (-row.total.amount_nano, row.side, row.model, row.provider, row.endpoint))
