"""The daybook: what each day added to a ledger account and what for, summed in the background.

Earnings, settlements and the margin read it. `advance` follows the mark of the balances, below which no entry can
appear any more; readers add the entries beyond it, so that sums are exact at any moment, and equal the ledger
because each entry is in exactly one line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import BigIntegerField, Count, DateField, F, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Left, TruncDate, TruncMonth

from billing.models import Cursor, DaybookLine, Entry, LedgerAccount
from billing.services import balances

CURSOR: Final = "daybook"
# So that a first run over an old database does not hold one transaction for all of it.
MOST_ENTRIES: Final = 100_000
# What sums can be told apart by, as a line's row has it.
_COLUMNS: Final = {
    "side": "ledger_account__kind",
    "owner": "ledger_account__account_id",
    **{name: name for name in ("month", "day", "kind", "model", "provider", "endpoint")},
}
_LINE: Final = ("day", "kind", "model", "provider", "endpoint")


@dataclass(slots=True)
class Total:
    """How many entries; the whole cost of the requests behind them, and what was added, in nano-USD."""

    count: int = 0
    gross_nano: int = 0
    amount_nano: int = 0

    def add(self, count: int, gross_nano: int, amount_nano: int) -> None:
        """Take more in."""
        self.count += count
        self.gross_nano += gross_nano
        self.amount_nano += amount_nano


def sums(
    *,
    by: Sequence[str],
    sides: Iterable[str],
    owner_id: int | None = None,
    since: dt.date | None = None,
    until: dt.date | None = None,
    kinds: Iterable[str] = (),
) -> dict[tuple[Any, ...], Total]:
    """Sums of ledger accounts of these kinds (`sides`), of one owner or of all, told apart by some of _COLUMNS.

    `since` and `until` are UTC days, the end left out; `kinds` narrows to kinds of transactions. Keys are tuples in
    the order of `by`; a month is its first day.
    """
    while True:
        mark = _mark()
        found: dict[tuple[Any, ...], Total] = {}
        closed = DaybookLine.objects.annotate(month=TruncMonth("day"))
        opened = _spread(Entry.objects.filter(pk__gt=mark))
        for rows, count, gross in ((closed, Sum("count"), Sum("gross_nano")), (opened, Count("pk"), _gross())):
            narrowed = _narrowed(rows, list(sides), owner_id, since, until, list(kinds))
            # With the side always, so that there is something to group by.
            names = [_COLUMNS[name] for name in (*by, "side")]
            for row in narrowed.order_by().values_list(*names).annotate(n=count, g=gross, a=Sum("amount_nano")):
                found.setdefault(tuple(row[: len(by)]), Total()).add(*row[-3:])
        if mark == _mark():  # else some were carried from the one to the other meanwhile
            return found


def advance() -> int:
    """Carry the days forward to the mark of the balances; returns how many lines moved.

    Two at once are harmless: the second finds the mark moved and does nothing.
    """
    cursor, _ = Cursor.objects.get_or_create(name=CURSOR)
    settled = Cursor.objects.filter(name=balances.CURSOR).values_list("position", flat=True).first() or 0
    mark = min(settled, cursor.position + MOST_ENTRIES)
    if mark <= cursor.position:
        return 0
    with transaction.atomic():
        if not Cursor.objects.filter(name=CURSOR, position=cursor.position).update(position=mark):
            return 0
        rows = _spread(Entry.objects.filter(pk__gt=cursor.position, pk__lte=mark)).order_by()
        rows = rows.exclude(ledger_account__kind=LedgerAccount.Kind.WALLET).values_list("ledger_account", *_LINE)
        moved = list(rows.annotate(n=Count("pk"), g=_gross(), a=Sum("amount_nano")))
        for ledger_account_id, *told, count, gross, amount in moved:
            names: dict[str, Any] = dict(zip(_LINE, told, strict=True))
            line, _ = DaybookLine.objects.get_or_create(ledger_account_id=ledger_account_id, **names)
            DaybookLine.objects.filter(pk=line.pk).update(
                count=F("count") + count, gross_nano=F("gross_nano") + gross, amount_nano=F("amount_nano") + amount
            )
    return len(moved)


def _mark() -> int:
    return Cursor.objects.filter(name=CURSOR).values_list("position", flat=True).first() or 0


def _spread(entries: QuerySet[Entry]) -> QuerySet[Any]:
    """Entries with what their charge says of them; what has no charge has empty names."""
    labels = "transaction__charge__labels"
    nothing = Value("", output_field=TextField())
    model, provider = (Coalesce(KeyTextTransform(name, labels), nothing) for name in ("model", "provider"))
    return entries.annotate(
        day=TruncDate("transaction__created_at", tzinfo=dt.UTC),
        month=TruncMonth("transaction__created_at", tzinfo=dt.UTC, output_field=DateField()),
        kind=F("transaction__kind"),
        model=Left(model, 200),  # as wide as a line's
        provider=Left(provider, 100),
        endpoint=Coalesce(Cast(KeyTextTransform("endpoint", labels), BigIntegerField()), 0),
    )


def _gross() -> Any:
    whole = F("transaction__charge__amount_nano") + F("transaction__charge__bad_debt_nano")
    return Coalesce(Sum(whole), 0)


def _narrowed(
    rows: QuerySet[Any],
    sides: list[str],
    owner_id: int | None,
    since: dt.date | None,
    until: dt.date | None,
    kinds: list[str],
) -> QuerySet[Any]:
    rows = rows.filter(ledger_account__kind__in=sides)
    if owner_id is not None:
        rows = rows.filter(ledger_account__account_id=owner_id)
    if since is not None:
        rows = rows.filter(day__gte=since)
    if until is not None:
        rows = rows.filter(day__lt=until)
    return rows.filter(kind__in=kinds) if kinds else rows
