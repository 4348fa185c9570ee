"""What accounts and keys have spent, read from the charges."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from django.db.models import BigIntegerField, Q, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from billing.models import Charge
from billing.services import budgets
from marketplace.models import ApiKey

PERIODS = ("daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has spent, in nano-USD: ever, and in this UTC day, week (from Monday) and month."""

    total: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


def spent(*, account_id: int, key_id: int | None = None, since: dt.datetime | None = None) -> int:
    """Nano-USD charged to an account, or to one of its keys, since a moment (or ever)."""
    rows = Charge.objects.for_account(account_id)
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    return int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)


def of_keys(*, account_id: int, key_ids: Iterable[int]) -> dict[int, Spent]:
    """Key id -> what it has spent. One query; keys without a charge are in it too."""
    now = timezone.now()
    sums = {"total": Coalesce(Sum("amount_nano"), 0)}
    for period in PERIODS:
        recent = Q(created_at__gte=budgets.period_start(period, now))
        sums[period] = Coalesce(Sum("amount_nano", filter=recent), 0)
    wanted = set(key_ids)
    charged = Charge.objects.for_account(account_id).filter(key_id__in=wanted).order_by().values("key_id")
    rows = cast(Iterable[Mapping[str, int]], charged.annotate(**sums))
    found = {row["key_id"]: Spent(row["total"], *(row[period] for period in PERIODS)) for row in rows}
    return {key_id: found.get(key_id, Spent()) for key_id in wanted}


def byok_of_keys(*, account_id: int, key_ids: Iterable[int]) -> dict[int, Spent]:
    """Key id -> what its requests with the account's own provider keys cost at list prices, paid to the providers."""
    now = timezone.now()
    upstream = Cast(KT("labels__upstream_nano"), BigIntegerField())
    sums = {"total": Coalesce(Sum(upstream), 0)}
    for period in PERIODS:
        recent = Q(created_at__gte=budgets.period_start(period, now))
        sums[period] = Coalesce(Sum(upstream, filter=recent), 0)
    wanted = set(key_ids)
    charged = Charge.objects.for_account(account_id).filter(key_id__in=wanted, labels__byok=True)
    rows = cast(Iterable[Mapping[str, int]], charged.order_by().values("key_id").annotate(**sums))
    found = {row["key_id"]: Spent(row["total"], *(row[period] for period in PERIODS)) for row in rows}
    return {key_id: found.get(key_id, Spent()) for key_id in wanted}


def of_key(key: ApiKey) -> Spent:
    """What a key has spent."""
    return of_keys(account_id=key.account_id, key_ids=[key.pk])[key.pk]
