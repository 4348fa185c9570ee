"""Usage by closed hour: what pages and /activity read instead of every charge.

An hour is closed once, some minutes after its end, in one transaction with the cursor that says so; what
comes later (a correction) is a charge of a later hour. Readers take closed hours from here and the open
rest from the charges, so that they are exact at any moment.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from billing.models import Charge, Cursor, UsageHour

CURSOR = "usage_hours"
HOUR = dt.timedelta(hours=1)
# A charge is stamped before it commits, by its host's clock: by then it is there.
GRACE = dt.timedelta(minutes=5)
# So that a first run over an old database does not hold one transaction for all of it.
MOST_HOURS = 24 * 31


@dataclass(frozen=True, slots=True)
class Group:
    """What usage is told apart by."""

    hour: dt.datetime
    key_id: int | None
    kind: str
    model: str
    provider: str


@dataclass(slots=True)
class Sum:
    """What was used in a group; amounts in nano-USD."""

    requests: int = 0
    amount_nano: int = 0
    quantities: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def usage(*, account_id: int, since: dt.datetime, until: dt.datetime) -> Iterator[tuple[Group, Sum]]:
    """An account's usage by hour and group, in no order; `since` and `until` are whole hours, the end left out."""
    closed = min(max(closed_until(), since), until)
    for row in UsageHour.objects.for_account(account_id).filter(hour__gte=since, hour__lt=closed):
        group = Group(row.hour, row.key_id, row.kind, row.model, row.provider)
        yield group, Sum(row.requests, row.amount_nano, row.quantities)
    yield from ((group, found) for (_, group), found in _summed(closed, until, account_id=account_id).items())


def closed_until() -> dt.datetime:
    """The end of the last closed hour."""
    position = Cursor.objects.filter(name=CURSOR).values_list("position", flat=True).first()
    return dt.datetime.fromtimestamp(position or 0, tz=dt.UTC)


def close(now: dt.datetime | None = None) -> int:
    """Close the hours that have ended; returns how many rows were written. Two at once are harmless."""
    end = _whole((now or timezone.now()) - GRACE)
    cursor, _ = Cursor.objects.get_or_create(name=CURSOR)
    begin = dt.datetime.fromtimestamp(cursor.position, tz=dt.UTC)
    if not cursor.position:
        first = Charge.objects.aggregate(first=Min("created_at"))["first"]
        begin = _whole(first) if first else end
    end = min(end, begin + HOUR * MOST_HOURS)
    if end <= begin and cursor.position:
        return 0
    with transaction.atomic():
        moved = Cursor.objects.filter(name=CURSOR, position=cursor.position).update(position=int(end.timestamp()))
        if not moved:
            return 0
        rows = [
            UsageHour(
                account_id=account_id,
                key_id=group.key_id,
                hour=group.hour,
                kind=group.kind,
                model=group.model,
                provider=group.provider,
                requests=found.requests,
                amount_nano=found.amount_nano,
                quantities=found.quantities,
            )
            for (account_id, group), found in _summed(begin, end).items()
        ]
        UsageHour.objects.bulk_create(rows, batch_size=1000)
    return len(rows)


def _summed(since: dt.datetime, until: dt.datetime, *, account_id: int | None = None) -> dict[tuple[int, Group], Sum]:
    rows = Charge.objects.filter(created_at__gte=since, created_at__lt=until)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    found: dict[tuple[int, Group], Sum] = defaultdict(Sum)
    fields = rows.values_list("account_id", "created_at", "key_id", "kind", "labels", "amount_nano", "quantities")
    for owner_id, moment, key_id, kind, labels, amount, quantities in fields.iterator(chunk_size=2000):
        model, provider = str(labels.get("model", ""))[:200], str(labels.get("provider", ""))[:100]
        part = found[owner_id, Group(_whole(moment), key_id, kind, model, provider)]
        part.requests += kind != "correction"
        part.amount_nano += amount
        for unit, count in quantities.items():
            part.quantities[unit] = part.quantities.get(unit, 0) + int(count)
    return found


def _whole(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
