"""Reading what was charged and booked, for people: lists, sums, days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from billing.models import Charge, Entry, LedgerAccount
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey

# A chart of one or two days has no scale that one could read.
MONTH_OF_DAYS = 30


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a usage list is narrowed by; days are whole UTC days, both ends included."""

    key_id: int | None = None
    playground: bool = False
    kind: str = ""
    model: str = ""
    first_day: dt.date | None = None
    last_day: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a list of charges."""

    count: int
    amount_nano: int


def charges(*, account_id: int, narrowed: Narrowed) -> QuerySet[Charge]:
    """An account's charges, newest first."""
    rows = Charge.objects.for_account(account_id).select_related("key")
    if narrowed.key_id is not None:
        rows = rows.filter(key_id=narrowed.key_id)
    if narrowed.playground:
        rows = rows.filter(key__is_playground=True)
    if narrowed.kind:
        rows = rows.filter(kind=narrowed.kind)
    if narrowed.model:
        rows = rows.filter(labels__model=narrowed.model)
    if narrowed.first_day:
        rows = rows.filter(created_at__gte=_midnight(narrowed.first_day))
    if narrowed.last_day:
        rows = rows.filter(created_at__lt=_midnight(narrowed.last_day + dt.timedelta(days=1)))
    return rows.order_by("-created_at", "-id")


def totals(rows: QuerySet[Charge]) -> Totals:
    """How many charges and how much, in nano-USD."""
    found = rows.aggregate(count=Count("id"), amount=Sum("amount_nano"))
    return Totals(count=found["count"], amount_nano=found["amount"] or 0)


def per_day(rows: QuerySet[Charge]) -> list[tuple[dt.date, int]]:
    """(UTC day, nano-USD) of every day from the first charge to the last, at least a month; idle days are zero."""
    spent = dict(
        rows.order_by()
        .annotate(day=TruncDate("created_at", tzinfo=dt.UTC))
        .values("day")
        .annotate(amount=Sum("amount_nano"))
        .values_list("day", "amount")
    )
    if not spent:
        return []
    last = max(spent)
    first = min(*spent, last - dt.timedelta(days=MONTH_OF_DAYS - 1))
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    return [(day, spent.get(day, 0)) for day in days]


def models_charged(*, account_id: int) -> list[str]:
    """The names of models that the account has ever paid for."""
    names = Charge.objects.for_account(account_id).values_list("labels__model", flat=True).distinct()
    return sorted({name for name in names if name})


def keys_charged(*, account_id: int) -> list[ApiKey]:
    """The account's keys that may stand on a charge: living and deleted, but not the playground's."""
    return list(ApiKey.objects.filter(account_id=account_id, is_playground=False).order_by("-created_at"))


def spent_by_key(*, account_id: int) -> dict[int, int]:
    """Key id -> nano-USD charged to it ever."""
    rows = Charge.objects.for_account(account_id).exclude(key=None).order_by().values("key_id")
    return dict(rows.annotate(amount=Sum("amount_nano")).values_list("key_id", "amount"))


def ledger(*, account_id: int) -> QuerySet[Entry]:
    """The wallet's entries with their transactions, newest first."""
    return (
        Entry.objects.filter(ledger_account__account_id=account_id, ledger_account__kind=LedgerAccount.Kind.WALLET)
        .select_related("transaction")
        .order_by("-transaction__created_at", "-pk")
    )


def promotional(*, account_id: int) -> int:
    """Nano-USD of credit that was ever granted to the account."""
    rows = ledger(account_id=account_id).filter(transaction__kind="grant").order_by()
    return int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)


def quantity_text(quantities: Mapping[str, Any]) -> str:
    """Quantities in words: "812 in, 64 out", "1.204 s", or by unit."""
    if "hardware_ms" in quantities:
        return f"{int(quantities['hardware_ms']):,} ms"
    names = {"prompt": "in", "completion": "out", "cached_read": "cached", "cached_write": "written to cache"}
    given = ((names.get(unit, unit.replace("_", " ")), count) for unit, count in quantities.items() if count)
    return ", ".join(f"{int(count):,} {name}" for name, count in given)


def csv_rows(rows: Iterable[Charge]) -> Iterable[list[str]]:
    """Charges as rows of text, the head first; amounts are exact dollars."""
    yield ["time", "id", "kind", "reference", "key", "model", "provider", "quantities", "amount_usd"]
    for row in rows:
        yield [
            row.created_at.astimezone(dt.UTC).isoformat(),
            str(row.pk),
            row.kind,
            row.reference,
            _inert(row.key.name if row.key else ""),
            str(row.labels.get("model", "")),
            str(row.labels.get("provider", "")),
            " ".join(f"{unit}={count}" for unit, count in row.quantities.items()),
            format_usd(row.amount_nano),
        ]


def _inert(text: str) -> str:
    # A spreadsheet takes a cell that begins so for a formula; names are free text.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
