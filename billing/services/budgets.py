"""Spend limits of keys: a row per key and period, drawn on by every hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import connection
from django.db.models import F, OuterRef, Subquery
from django.utils import timezone

from billing.models import Budget
from marketplace.models import ApiKey

_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def period_start(reset: str, now: dt.datetime) -> dt.datetime:
    """When the period that contains `now` began: UTC days, weeks from Monday, months; or ever."""
    today = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match reset:
        case ApiKey.Reset.DAILY:
            return today
        case ApiKey.Reset.WEEKLY:
            return today - dt.timedelta(days=today.weekday())
        case ApiKey.Reset.MONTHLY:
            return today.replace(day=1)
    return _BEGINNING


def period_end(reset: str, start: dt.datetime) -> dt.datetime | None:
    """When the period that began at `start` ends; None for a limit that never resets."""
    match reset:
        case ApiKey.Reset.DAILY:
            return start + dt.timedelta(days=1)
        case ApiKey.Reset.WEEKLY:
            return start + dt.timedelta(days=7)
        case ApiKey.Reset.MONTHLY:
            return (start + dt.timedelta(days=32)).replace(day=1)
    return None


def database_now() -> dt.datetime:
    """The database's clock, so that all hosts agree on where a period ends."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        row = cursor.fetchone()
    moment: dt.datetime = row[0]
    return moment


def current(key: ApiKey) -> Budget:
    """The key's row for the present period, made when first needed."""
    start = period_start(key.limit_reset, database_now())
    budget, _ = Budget.objects.get_or_create(key=key, period_start=start)
    return budget


def draw(*, budget_id: int, amount_nano: int) -> bool:
    """Hold an amount against the limit as it stands at this moment; False when it does not fit.

    Compares with the key's row inside the statement, so a lowered limit or a disabled key bites at once.
    """
    limit = Subquery(ApiKey.objects.filter(pk=OuterRef("key_id")).values("limit_nano")[:1])
    unlimited = Budget.objects.filter(pk=budget_id, key__limit_nano=None)
    rows = Budget.objects.filter(pk=budget_id).annotate(limit=limit)
    fits = rows.filter(limit__gte=F("spent_nano") + F("held_nano") + amount_nano)
    change = {"held_nano": F("held_nano") + amount_nano}
    return bool(fits.update(**change) or unlimited.update(**change))


def give_back(*, budget_id: int, held_nano: int, spent_nano: int = 0) -> None:
    """End a draw: what was held is free again but for what was spent."""
    Budget.objects.filter(pk=budget_id).update(
        held_nano=F("held_nano") - held_nano, spent_nano=F("spent_nano") + spent_nano
    )


def remaining(key: ApiKey) -> int | None:
    """What the key may still hold in this period, in nano-USD; None without a limit."""
    if key.limit_nano is None:
        return None
    budget = current(key)
    return max(0, key.limit_nano - budget.spent_nano - budget.held_nano)


def remaining_by_key(keys: Sequence[ApiKey]) -> dict[int, int | None]:
    """Key id -> what it may still hold in its present period, in nano-USD; None without a limit. One query."""
    now = database_now()
    starts = {key.pk: period_start(key.limit_reset, now) for key in keys if key.limit_nano is not None}
    used = {
        (row.key_id, row.period_start): row.spent_nano + row.held_nano
        for row in Budget.objects.filter(key_id__in=starts, period_start__in=set(starts.values()))
    }
    return {
        key.pk: None if key.limit_nano is None else max(0, key.limit_nano - used.get((key.pk, starts[key.pk]), 0))
        for key in keys
    }
