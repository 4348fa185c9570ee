"""Endpoints day by day, for people: counted from the record every few minutes, so that every process tells the same."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from routing.models import Attempt, EndpointDay, Generation
from routing.selection.faults import CAPACITY_STATUSES

SHOWN: Final = 30
SETTLED: Final = dt.timedelta(hours=2)  # after midnight for so long, yesterday's last generations may still end
CALLERS: Final = ("invalid", "context_length", "content_policy")  # nobody's fault but the request's
_SUMS: Final = ("good", "bad", "limited", "tokens", "cost_nano")


def count(*, now: dt.datetime | None = None) -> int:
    """Count today, and what of the last days was not counted since it ended; how many days."""
    now = now or timezone.now()
    today = now.astimezone(dt.UTC).date()
    known = set(EndpointDay.objects.filter(day__gte=today - dt.timedelta(SHOWN)).values_list("day", flat=True))
    first = today - dt.timedelta(days=SHOWN - 1)
    due = [first + dt.timedelta(days=i) for i in range(SHOWN)] if not known else [today]
    if known:
        last = max(known)
        due = [last + dt.timedelta(days=i) for i in range((today - last).days + 1)]
        if last == today and now - _begin(today) < SETTLED:
            due.insert(0, today - dt.timedelta(days=1))
    for day in due:
        _count(day)
    return len(due)


def of(endpoint_ids: Iterable[int], *, today: dt.date | None = None) -> dict[int, list[EndpointDay | None]]:
    """Endpoint -> its last 30 days, the oldest first; None for a day without a call."""
    today = today or timezone.now().astimezone(dt.UTC).date()
    first = today - dt.timedelta(days=SHOWN - 1)
    wanted = list(endpoint_ids)
    found = {
        (row.endpoint_id, row.day): row
        for row in EndpointDay.objects.filter(endpoint_id__in=wanted, day__gte=first, day__lte=today)
    }
    days = [first + dt.timedelta(days=i) for i in range(SHOWN)]
    return {pk: [found.get((pk, day)) for day in days] for pk in wanted}


def total(days: Iterable[EndpointDay | None]) -> EndpointDay:
    """All of them as one; never stored."""
    whole = EndpointDay()
    for day in days:
        if day is not None:
            for name in _SUMS:
                setattr(whole, name, getattr(whole, name) + getattr(day, name))
    return whole


def _count(day: dt.date) -> None:
    begin = _begin(day)
    until = begin + dt.timedelta(days=1)
    sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
    limited = Q(error_kind="rate_limited") | (~Q(error_kind="") & Q(status_code__in=list(CAPACITY_STATUSES)))
    good = Q(error_kind="")
    attempts = Attempt.objects.filter(
        generation__created_at__gte=begin, generation__created_at__lt=until, endpoint__isnull=False, is_byok=False
    ).exclude(error_kind__in=(*CALLERS, Attempt.OUTRUN))
    counted = attempts.values("endpoint").annotate(
        good=Count("pk", filter=good), limited=Count("pk", filter=limited),
        bad=Count("pk", filter=~good & ~limited),
    )  # fmt: skip
    for row in counted.order_by():
        sums[row["endpoint"]] |= {name: row[name] for name in ("good", "bad", "limited")}
    # What broke after it had begun counted as answered: here it is a failure, as people see it.
    broken = Generation.objects.filter(
        created_at__gte=begin, created_at__lt=until, endpoint__isnull=False, is_byok=False,
        status=Generation.Status.FAILED, cost_nano__gt=0,
    )  # fmt: skip
    for pk, cut in broken.order_by().values_list("endpoint").annotate(cut=Count("pk")):
        moved = min(cut, sums[pk]["good"])
        sums[pk]["good"] -= moved
        sums[pk]["bad"] += moved
    paid = Generation.objects.filter(
        created_at__gte=begin, created_at__lt=until, endpoint__isnull=False, is_byok=False, cost_nano__gt=0
    )
    spent = paid.order_by().values_list("endpoint").annotate(
        tokens=Sum(F("prompt_tokens") + F("completion_tokens")), nano=Sum("cost_nano")
    )  # fmt: skip
    for pk, tokens, nano in spent:
        sums[pk] |= {"tokens": tokens, "cost_nano": nano}
    EndpointDay.objects.bulk_create(
        [EndpointDay(endpoint_id=pk, day=day, **values) for pk, values in sums.items()],
        update_conflicts=True, unique_fields=["endpoint", "day"], update_fields=list(_SUMS),
    )  # fmt: skip


def _begin(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
