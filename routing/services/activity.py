"""What an account did, by day, model and endpoint: sums over its generations and its hosted predictions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.models import Charge
from marketplace.lib.errors import InvalidRequest
from routing.models import Generation

M = TypeVar("M", Charge, Generation)

DAYS = 30  # completed UTC days


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which requests are wanted: of a day, a key, or of the keys that somebody made."""

    date: dt.date | None = None
    key_digest: str | None = None
    creator_id: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One day's requests to one model at one endpoint; `endpoint_id` is None for hosted models."""

    date: dt.date
    model: str
    provider_name: str
    endpoint_id: int | None
    requests: int
    usage_nano: int
    upstream_nano: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


def rows(*, account_id: int, narrowed: Narrowed) -> list[Row]:
    """The last 30 completed UTC days, or the one asked for among them, newest first. Raises InvalidRequest."""
    today = timezone.now().astimezone(dt.UTC).date()
    first, last = today - dt.timedelta(days=DAYS), today - dt.timedelta(days=1)
    if narrowed.date is not None:
        if not first <= narrowed.date <= last:
            raise InvalidRequest(f"'date' must be one of the last {DAYS} completed UTC days: {first} to {last}.")
        first = last = narrowed.date
    found = [*_routed(account_id, narrowed, first, last), *_hosted(account_id, narrowed, first, last)]
    return sorted(found, key=lambda row: (-row.date.toordinal(), row.model, row.endpoint_id or 0))


def _routed(account_id: int, narrowed: Narrowed, first: dt.date, last: dt.date) -> list[Row]:
    sums = (
        _narrow(Generation.objects.for_account(account_id), narrowed, first, last)
        .exclude(model="")
        .order_by()
        .annotate(day=TruncDate("created_at", tzinfo=dt.UTC))
        .values("day", "model", "endpoint_id", "provider__name")
        .annotate(
            requests=Count("id"),
            cost=Sum("cost_nano"),
            upstream=Sum("upstream_nano"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            reasoning=Sum("reasoning_tokens"),
        )
    )
    return [
        Row(
            date=row["day"],
            model=row["model"],
            provider_name=row["provider__name"] or "",
            endpoint_id=row["endpoint_id"],
            requests=row["requests"],
            usage_nano=row["cost"],
            upstream_nano=row["upstream"],
            prompt_tokens=row["prompt"],
            completion_tokens=row["completion"],
            reasoning_tokens=row["reasoning"],
        )
        for row in sums
    ]


def _hosted(account_id: int, narrowed: Narrowed, first: dt.date, last: dt.date) -> list[Row]:
    sums = (
        _narrow(Charge.objects.for_account(account_id).filter(kind="prediction"), narrowed, first, last)
        .order_by()
        .annotate(day=TruncDate("created_at", tzinfo=dt.UTC))
        .values("day", "labels__model")
        .annotate(requests=Count("id"), cost=Sum("amount_nano"))
    )
    return [
        Row(
            date=row["day"],
            model=row["labels__model"] or "",
            provider_name="Turnpike",
            endpoint_id=None,
            requests=row["requests"],
            usage_nano=row["cost"],
        )
        for row in sums
    ]


def _narrow(rows: QuerySet[M], narrowed: Narrowed, first: dt.date, last: dt.date) -> QuerySet[M]:
    begin = dt.datetime.combine(first, dt.time(), tzinfo=dt.UTC)
    end = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)
    rows = rows.filter(created_at__gte=begin, created_at__lt=end)
    if narrowed.key_digest is not None:
        rows = rows.filter(key__digest=narrowed.key_digest)
    if narrowed.creator_id is not None:
        rows = rows.filter(key__created_by_id=narrowed.creator_id)
    return rows
