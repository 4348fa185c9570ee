"""Reading what was charged and booked, for people: one by one. Sums are in `reports`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from billing.models import Charge, Entry, LedgerAccount
from billing.services import reports
from billing.services.rollups import GPU_UNIT
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey

# What a wallet's history can be narrowed to: name -> title and kinds of transactions.
MOVES: Final = {
    "use": ("Use", ("charge", "correction")),
    "payments": (
        "Top-ups and refunds",
        ("topup", "refund", "refund_failed", "refund_cleared", "dispute", "dispute_won"),
    ),
    "promotional": ("Promotional credit", ("grant", "grant_expired")),
}


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a list of charges is narrowed by; empty is all, the end is left out."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    key: str = ""
    kind: str = ""
    model: str = ""
    user_id: int | None = None


def charges(*, account_id: int, narrowed: Narrowed) -> QuerySet[Charge]:
    """An account's charges, newest first."""
    rows = Charge.objects.for_account(account_id).select_related("key")
    if narrowed.key == reports.PLAYGROUND:
        rows = rows.filter(key__is_playground=True)
    elif narrowed.key == reports.NO_KEY:
        rows = rows.filter(key=None)
    elif narrowed.key:
        rows = rows.filter(key_id=int(narrowed.key))
    if narrowed.kind:
        by_hardware = Q(quantities__has_key=GPU_UNIT)
        rows = rows.filter(by_hardware if narrowed.kind == reports.GPU else ~by_hardware)
    if narrowed.model:
        rows = rows.filter(labels__model=narrowed.model)
    if narrowed.user_id is not None:
        theirs = Q(key__created_by_id=narrowed.user_id) | Q(key__created_by=None, labels__user=narrowed.user_id)
        rows = rows.filter(theirs)
    if narrowed.since is not None:
        rows = rows.filter(created_at__gte=narrowed.since)
    if narrowed.until is not None:
        rows = rows.filter(created_at__lt=narrowed.until)
    return rows.order_by("-created_at", "-id")


def page(rows: QuerySet[Charge], *, before: str, size: int) -> tuple[list[Charge], str]:
    """Some charges after the one called `before` ("" or unknown: the newest), and the name of the next page, if any."""
    try:
        last = rows.filter(pk=UUID(before)).first()
    except ValueError:
        last = None
    if last is not None:
        rows = rows.filter(Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, id__lt=last.pk))
    found = list(rows[: size + 1])
    return found[:size], str(found[size - 1].pk) if len(found) > size else ""


def keys_charged(*, account_id: int, user_id: int | None = None) -> list[ApiKey]:
    """The account's keys that may stand on a charge, or one member's: living and deleted, not the playground's."""
    rows = ApiKey.objects.filter(account_id=account_id, is_playground=False)
    if user_id is not None:
        rows = rows.filter(created_by_id=user_id)
    return list(rows.order_by("-created_at"))


def ledger(*, account_id: int, what: str = "") -> QuerySet[Entry]:
    """The wallet's entries with their transactions, newest first; `what` narrows to one of MOVES."""
    rows = Entry.objects.filter(ledger_account__account_id=account_id, ledger_account__kind=LedgerAccount.Kind.WALLET)
    if what in MOVES:
        _, kinds = MOVES[what]
        rows = rows.filter(transaction__kind__in=kinds)
    return rows.select_related("transaction").order_by("-pk")


def ledger_page(rows: QuerySet[Entry], *, before: str, size: int) -> tuple[list[Entry], str]:
    """Some entries after the one numbered `before` ("" or no number: the newest), and the name of the next page."""
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows[: size + 1])
    return found[:size], str(found[size - 1].pk) if len(found) > size else ""


def ledger_csv(rows: Iterable[Entry]) -> Iterable[list[str]]:
    """Entries as rows of text, the head first; amounts are exact dollars, what left the wallet negative."""
    yield ["time", "kind", "what", "reference", "amount_usd"]
    for row in rows:
        moved = row.transaction
        yield [
            moved.created_at.astimezone(dt.UTC).isoformat(),
            moved.kind,
            reports.inert(moved.memo),
            reports.inert(moved.reference),
            format_usd(row.amount_nano),
        ]


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
            reports.inert(row.key.name if row.key else ""),
            str(row.labels.get("model", "")),
            str(row.labels.get("provider", "")),
            " ".join(f"{unit}={count}" for unit, count in row.quantities.items()),
            format_usd(row.amount_nano),
        ]
