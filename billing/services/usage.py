"""What accounts and keys have spent: closed hours from the rollups, the open rest from the charges."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.models import UsageHour
from billing.services import budgets, rollups
from marketplace.models import ApiKey

PERIODS: Final = ("daily", "weekly", "monthly")
# Later than any charge: the open hours have no end.
_EVER: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has spent, in nano-USD: ever, and in this UTC day, week (from Monday) and month."""

    total: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


def spent(*, account_id: int) -> int:
    """Nano-USD ever charged to an account."""
    closed = rollups.closed_until()
    rows = UsageHour.objects.for_account(account_id).filter(hour__lt=closed)
    total = int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)
    rest = rollups.unclosed(account_id=account_id, since=closed, until=timezone.now() + _EVER)
    return total + sum(found.amount_nano for _, found in rest)


def of_keys(*, account_id: int, key_ids: Iterable[int]) -> dict[int, Spent]:
    """Key id -> what it has spent. One query of the hours; keys without a charge are in it too."""
    return _of_keys("amount_nano", account_id, set(key_ids))


def byok_of_keys(*, account_id: int, key_ids: Iterable[int]) -> dict[int, Spent]:
    """Key id -> what its requests with the account's own provider keys cost at list prices, paid to the providers."""
    return _of_keys("upstream_nano", account_id, set(key_ids))


def of_key(key: ApiKey) -> Spent:
    """What a key has spent."""
    return of_keys(account_id=key.account_id, key_ids=[key.pk])[key.pk]


def _of_keys(name: str, account_id: int, wanted: set[int]) -> dict[int, Spent]:
    now, closed = timezone.now(), rollups.closed_until()
    starts = {period: budgets.period_start(period, now) for period in PERIODS}
    sums: dict[str, Any] = {"total": Coalesce(Sum(name), 0)}
    for period, start in starts.items():
        sums[period] = Coalesce(Sum(name, filter=Q(hour__gte=start)), 0)
    rows = UsageHour.objects.for_account(account_id).filter(key_id__in=wanted, hour__lt=closed).order_by()
    closed_sums = cast(Iterable[Mapping[str, int]], rows.values("key_id").annotate(**sums))
    found = {row["key_id"]: {period: row[period] for period in sums} for row in closed_sums}
    for group, one in rollups.unclosed(account_id=account_id, since=closed, until=now + _EVER):
        if group.key_id in wanted:
            of_key = found.setdefault(group.key_id, dict.fromkeys(sums, 0))
            for period in sums:
                if period == "total" or group.hour >= starts[period]:
                    of_key[period] += getattr(one, name)
    return {key_id: Spent(**found.get(key_id, {})) for key_id in wanted}
