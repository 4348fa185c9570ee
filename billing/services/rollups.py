"""Usage by closed hour: what pages, keys' usage fields and /activity read instead of every charge.

An hour is closed once, some minutes after its end, in one transaction with the cursor that says so; what
comes later (a correction) is a charge of a later hour. Readers take closed hours from here and the open
rest from the charges, so that they are exact at any moment. A charge belongs to the hour of its ledger
transaction, as on statements, so that both put everything into the same day and month.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.db import transaction
from django.db.models import Min, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.models import Charge, Cursor, UsageHour
from billing.services import corrections
from marketplace.models import User

CURSOR: Final = "usage_hours"
HOUR: Final = dt.timedelta(hours=1)
# A charge is stamped before it commits, by its host's clock: by then it is there.
GRACE: Final = dt.timedelta(minutes=5)
# So that a first run over an old database does not hold one transaction for all of it.
MOST_HOURS: Final = 24 * 31
# Charges of hosted runs and of instances of deployments are by the millisecond of hardware.
GPU_UNIT: Final = "hardware_ms"
# A charge is stamped by a host just before or after its transaction.
_APART: Final = dt.timedelta(hours=1)
# Where a charge does not say its tokens (older ones): the priced units that are parts of them.
_PROMPT: Final = ("prompt", "cached_read", "cached_write")
_COMPLETION: Final = ("completion", "reasoning")


@dataclass(frozen=True, slots=True)
class Group:
    """What usage is told apart by."""

    hour: dt.datetime
    key_id: int | None
    user_id: int | None
    kind: str
    model: str
    provider: str
    endpoint_number: int | None


@dataclass(slots=True)
class Sum:
    """What was used in a group; amounts in nano-USD."""

    requests: int = 0
    amount_nano: int = 0
    upstream_nano: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    quantities: dict[str, int] = field(default_factory=dict)

    @property
    def gpu_ms(self) -> int:
        """Milliseconds of hardware."""
        return self.quantities.get(GPU_UNIT, 0)

    def add(self, other: Sum) -> None:
        """Take another sum into this one."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for unit, count in other.quantities.items():
            self.quantities[unit] = self.quantities.get(unit, 0) + count


_COUNTS: Final = ("requests", "amount_nano", "upstream_nano", "prompt_tokens", "completion_tokens", "reasoning_tokens")


def usage(*, account_id: int, since: dt.datetime, until: dt.datetime) -> Iterator[tuple[Group, Sum]]:
    """An account's usage by hour and group, in no order; `since` and `until` are whole hours, the end left out."""
    closed = min(max(closed_until(), since), until)
    for row in UsageHour.objects.for_account(account_id).filter(hour__gte=since, hour__lt=closed):
        group = Group(
            row.hour, row.key_id, row.user_id, row.kind, row.model, row.provider, row.endpoint_number
        )  # fmt: skip
        yield group, Sum(**{name: getattr(row, name) for name in _COUNTS}, quantities=row.quantities)
    yield from unclosed(account_id=account_id, since=closed, until=until)


def unclosed(*, account_id: int, since: dt.datetime, until: dt.datetime) -> Iterator[tuple[Group, Sum]]:
    """The same from the charges themselves: for the open hour or two that no row sums up yet."""
    yield from ((group, found) for (_, group), found in _summed(since, until, account_id=account_id).items())


def closed_until() -> dt.datetime:
    """The end of the last closed hour."""
    position = Cursor.objects.filter(name=CURSOR).values_list("position", flat=True).first()
    return dt.datetime.fromtimestamp(position or 0, tz=dt.UTC)


def charged(*, until: dt.datetime, since: dt.datetime | None = None) -> QuerySet[Any]:
    """The charges of a stretch of time, each with the `moment` it belongs to: that of its transaction, if any."""
    rows: QuerySet[Any] = Charge.objects.filter(created_at__lt=until + _APART)
    rows = rows.annotate(moment=Coalesce("transaction__created_at", "created_at")).filter(moment__lt=until)
    return rows if since is None else rows.filter(created_at__gte=since - _APART, moment__gte=since)


def close(now: dt.datetime | None = None) -> int:
    """Close the hours that have ended; returns how many rows were written. Two at once are harmless."""
    end = whole((now or timezone.now()) - GRACE)
    cursor, _ = Cursor.objects.get_or_create(name=CURSOR)
    begin = dt.datetime.fromtimestamp(cursor.position, tz=dt.UTC)
    if not cursor.position:
        first = Charge.objects.aggregate(first=Min("created_at"))["first"]
        begin = whole(first) - HOUR if first else end
    end = min(end, begin + HOUR * MOST_HOURS)
    if end <= begin and cursor.position:
        return 0
    with transaction.atomic():
        moved = Cursor.objects.filter(name=CURSOR, position=cursor.position).update(position=int(end.timestamp()))
        if not moved:
            return 0
        sums = _summed(begin, end)
        # A charge keeps the number of a user who is deleted.
        known = set(User.objects.filter(pk__in={group.user_id for _, group in sums}).values_list("pk", flat=True))
        rows = [
            UsageHour(account_id=account_id, **_row(group, known), **asdict(found))
            for (account_id, group), found in sums.items()
        ]
        UsageHour.objects.bulk_create(rows, batch_size=1000)
    return len(rows)


def rebuild(now: dt.datetime | None = None) -> int:
    """Throw all hours away and close them again, in one transaction; returns how many rows there are then."""
    with transaction.atomic():
        Cursor.objects.get_or_create(name=CURSOR)
        # The row's lock keeps a closing of another process out until this commits.
        Cursor.objects.filter(name=CURSOR).update(position=0)
        UsageHour.objects.all().delete()
        end = whole((now or timezone.now()) - GRACE)
        while closed_until() < end:
            close(now)
        return UsageHour.objects.count()


def whole(moment: dt.datetime) -> dt.datetime:
    """The beginning of a moment's UTC hour."""
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def _row(group: Group, known: set[int]) -> dict[str, Any]:
    return asdict(group) | {"user_id": group.user_id if group.user_id in known else None}


def _summed(since: dt.datetime, until: dt.datetime, *, account_id: int | None = None) -> dict[tuple[int, Group], Sum]:
    found: dict[tuple[int, Group], Sum] = defaultdict(Sum)
    if since >= until:
        return found
    rows = charged(since=since, until=until)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    fields = rows.values_list(
        "account_id", "moment", "key_id", "key__created_by_id", "kind", "labels", "amount_nano", "quantities"
    )
    for owner_id, moment, key_id, creator_id, kind, labels, amount, quantities in fields.iterator(chunk_size=2000):
        group = Group(
            hour=whole(moment),
            key_id=key_id,
            user_id=creator_id or labels.get("user"),
            kind=kind,
            model=str(labels.get("model", ""))[:200],
            provider=str(labels.get("provider", ""))[:100],
            endpoint_number=labels.get("endpoint"),
        )
        found[owner_id, group].add(_one(kind, labels, amount, {unit: int(n) for unit, n in quantities.items()}))
    return found


def _one(kind: str, labels: Mapping[str, Any], amount_nano: int, quantities: dict[str, int]) -> Sum:
    is_correction = kind == corrections.KIND  # its labels are those of what it corrects, its quantities the difference
    told = {} if is_correction else labels.get("tokens", {})
    return Sum(
        requests=0 if is_correction else 1,
        amount_nano=amount_nano,
        upstream_nano=0 if is_correction else labels.get("upstream_nano", 0),
        prompt_tokens=told.get("prompt", sum(quantities.get(unit, 0) for unit in _PROMPT)),
        completion_tokens=told.get("completion", sum(quantities.get(unit, 0) for unit in _COMPLETION)),
        reasoning_tokens=told.get("reasoning", quantities.get("reasoning", 0)),
        quantities=quantities,
    )
