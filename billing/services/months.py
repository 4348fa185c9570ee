"""An account's month: what there was, what came in and went out, what was used at which price, what there is.

Two readings of the same books: movements from the wallet's entries, usage from the charges. A month is a UTC
month by the time of the ledger's transaction, so that both put everything into the same one.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import BigIntegerField, Count, Q, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, TruncMonth
from django.utils import timezone

from billing.models import Charge, Entry, LedgerAccount
from billing.rating import Line
from billing.services import corrections
from marketplace.lib.errors import NotFound
from marketplace.lib.money import PER_MILLION, format_price_per_unit, format_usd
from marketplace.models import Account

# Kinds of transactions that move a wallet other than by use, in the statement's order and words.
MOVEMENTS: Final = {
    "topup": "Top-ups",
    "grant": "Promotional credit",
    "grant_expired": "Promotional credit that ended",
    "refund": "Refunds",
    "refund_failed": "Refunds that failed",
    "refund_cleared": "Payments sent back after use",
    "dispute": "Disputed payments",
    "dispute_won": "Disputes won",
    "invoice": "Invoices paid",
    "write_off": "Debts written off",
}
_USE: Final = ("charge", corrections.KIND)
# A charge is stamped by a host just before or after its transaction.
_APART: Final = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Month:
    """A month in the list: its first day, and the wallet before and after it in nano-USD."""

    first: dt.date
    opening_nano: int
    closing_nano: int


@dataclass(frozen=True, slots=True)
class Movement:
    """All transactions of one kind."""

    kind: str
    title: str
    count: int
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Priced:
    """What was used of one unit at one price; the amount is this line's own, rounded half up."""

    unit: str
    quantity: int
    nano_per_million: int

    @property
    def amount_nano(self) -> int:
        """Quantity times price."""
        exact = Line(self.unit, self.quantity, self.nano_per_million).exact
        return (exact + PER_MILLION // 2) // PER_MILLION


@dataclass(slots=True)
class Item:
    """What was charged for one model: the lines, and what the roundings of single requests make of them."""

    kind: str
    model: str
    requests: int = 0
    amount_nano: int = 0
    unpaid_nano: int = 0
    lines: list[Priced] = field(default_factory=list)

    @property
    def rounding_nano(self) -> int:
        """What the charges are more than their lines: each request was rounded by itself."""
        return self.amount_nano + self.unpaid_nano - sum(line.amount_nano for line in self.lines)


@dataclass(frozen=True, slots=True)
class Statement:
    """A month in full; opening + movements - charged = closing."""

    account: Account
    first: dt.date
    last: dt.date
    is_over: bool
    opening_nano: int
    closing_nano: int
    movements: list[Movement]
    charged_nano: int
    items: list[Item]
    corrections: list[Item]


def listed(*, account_id: int) -> list[Month]:
    """The account's months from its first entry to now, the latest first; idle ones are in it too."""
    by_month = _entries(account_id).annotate(month=TruncMonth("transaction__created_at", tzinfo=dt.UTC))
    sums = {
        row["month"].date(): row["amount"]
        for row in by_month.order_by().values("month").annotate(amount=Sum("amount_nano"))
    }
    found: list[Month] = []
    if not sums:
        return found
    first, balance = min(sums), 0
    while first <= max(*sums, timezone.now().astimezone(dt.UTC).date()):
        found.append(Month(first, balance, balance := balance + sums.get(first, 0)))
        first = _next(first)
    return found[::-1]


def statement(*, account: Account, year: int, month: int) -> Statement:
    """One month in full. Raises NotFound for one that is none, has not begun, or was before the account's first."""
    try:
        first = dt.date(year, month, 1)
        until = _midnight(_next(first))
    except (ValueError, OverflowError):
        raise NotFound("There is no such month: write 2026-11.") from None
    now, since = timezone.now(), _midnight(first)
    entries = _entries(account.pk)
    if since > now or not entries.filter(transaction__created_at__lt=until).exists():
        raise NotFound("There is no statement for this month.")
    opening = _sum(entries.filter(transaction__created_at__lt=since))
    inside = entries.filter(transaction__created_at__gte=since, transaction__created_at__lt=until)
    charged = -_sum(inside.filter(transaction__kind__in=_USE))
    movements = list(_movements(inside))
    charges = _charges(account.pk, since, until)
    return Statement(
        account=account,
        first=first,
        last=_next(first) - dt.timedelta(days=1),
        is_over=until <= now,
        opening_nano=opening,
        closing_nano=opening + sum(one.amount_nano for one in movements) - charged,
        movements=movements,
        charged_nano=charged,
        items=_items(charges.filter(corrects=None)),
        corrections=_corrections(charges.exclude(corrects=None)),
    )


def csv_rows(month: Statement) -> Iterator[list[str]]:
    """The statement as rows of text, the head first; amounts are exact dollars, and all of them add up to the last."""
    yield ["section", "item", "unit", "quantity", "price_per_unit_usd", "amount_usd"]
    yield ["opening", month.first.isoformat(), "", "", "", format_usd(month.opening_nano)]
    for one in month.movements:
        yield ["movement", one.title, "", str(one.count), "", format_usd(one.amount_nano)]
    for item in month.items:
        name = item.model or item.kind
        for line in item.lines:
            each = format_price_per_unit(line.nano_per_million)
            yield ["usage", name, line.unit, str(line.quantity), each, format_usd(-line.amount_nano)]
        if item.rounding_nano:
            yield ["usage", name, "rounding", "", "", format_usd(-item.rounding_nano)]
        if item.unpaid_nano:
            yield ["usage", name, "not charged", "", "", format_usd(item.unpaid_nano)]
    for item in month.corrections:
        name = item.model or item.kind
        yield ["correction", name, "", str(item.requests), "", format_usd(-item.amount_nano)]
    yield ["closing", month.last.isoformat(), "", "", "", format_usd(month.closing_nano)]


def _entries(account_id: int) -> QuerySet[Entry]:
    return Entry.objects.filter(ledger_account__account_id=account_id, ledger_account__kind=LedgerAccount.Kind.WALLET)


def _sum(entries: QuerySet[Entry]) -> int:
    return int(entries.aggregate(total=Sum("amount_nano"))["total"] or 0)


def _movements(entries: QuerySet[Entry]) -> Iterator[Movement]:
    rows = entries.exclude(transaction__kind__in=_USE).order_by().values_list("transaction__kind")
    found = {kind: (count, amount) for kind, count, amount in rows.annotate(n=Count("pk"), amount=Sum("amount_nano"))}
    for kind in sorted(found, key=lambda kind: list(MOVEMENTS).index(kind) if kind in MOVEMENTS else len(MOVEMENTS)):
        yield Movement(kind, MOVEMENTS.get(kind, kind.replace("_", " ").capitalize()), *found[kind])


def _charges(account_id: int, since: dt.datetime, until: dt.datetime) -> QuerySet[Charge]:
    """The month's charges by the time of their transaction; what cost nothing has none, and its own time."""
    near = Charge.objects.for_account(account_id).filter(created_at__gte=since - _APART, created_at__lt=until + _APART)
    booked = Q(transaction__created_at__gte=since, transaction__created_at__lt=until)
    free = Q(transaction=None, created_at__gte=since, created_at__lt=until)
    return near.filter(booked | free).order_by()


def _items(charges: QuerySet[Charge]) -> list[Item]:
    """Summed by the database: a group is a model at one set of prices, its units are those of the prices."""
    groups = charges.values("kind", "prices", model=KT("labels__model"))
    units = sorted({unit for row in groups.distinct() for unit in row["prices"]})
    sums: dict[str, Any] = {
        f"n{place}": Coalesce(Sum(Cast(KT(f"quantities__{unit}"), BigIntegerField())), 0)
        for place, unit in enumerate(units)
    }
    rows = groups.annotate(requests=Count("pk"), amount=Sum("amount_nano"), unpaid=Sum("bad_debt_nano"), **sums)
    items: dict[tuple[str, str], Item] = {}
    used: dict[tuple[str, str], dict[tuple[str, int], int]] = defaultdict(lambda: defaultdict(int))
    row: Any  # its names are made above
    for row in rows:
        name = (row["kind"], row["model"] or "")
        item = items.setdefault(name, Item(*name))
        _add(item, row)
        for place, unit in enumerate(units):
            if unit in row["prices"]:
                used[name][unit, row["prices"][unit]] += row[f"n{place}"]
    for name, counts in used.items():
        items[name].lines = [Priced(unit, count, price) for (unit, price), count in sorted(counts.items()) if count]
    return _dearest_first(items.values())


def _corrections(charges: QuerySet[Charge]) -> list[Item]:
    rows = charges.values("kind", model=KT("labels__model")).annotate(
        requests=Count("pk"), amount=Sum("amount_nano"), unpaid=Sum("bad_debt_nano")
    )
    items = []
    for row in rows:
        items.append(Item(row["kind"], row["model"] or ""))
        _add(items[-1], row)
    return _dearest_first(items)


def _add(item: Item, row: Any) -> None:
    item.requests += row["requests"]
    item.amount_nano += row["amount"]
    item.unpaid_nano += row["unpaid"]


def _dearest_first(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (-item.amount_nano, item.model, item.kind))


def _next(first: dt.date) -> dt.date:
    return (first + dt.timedelta(days=32)).replace(day=1)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
