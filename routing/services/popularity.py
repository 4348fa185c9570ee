"""How much each model is used and how quick it has been, read off the generations of this installation."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Final

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.utils import timezone

from routing.models import Generation

MONTH: Final = dt.timedelta(days=30)
WEEK: Final = dt.timedelta(days=7)
LATELY: Final = dt.timedelta(minutes=30)
MOST_SAMPLES: Final = 20_000
KEPT_SECONDS: Final = 60
_CACHE: Final = "routing.popularity"


@dataclass(frozen=True, slots=True)
class Popularity:
    """One model's: tokens of the last week, requests of the last month, medians of the last half hour."""

    weekly_tokens: int = 0
    monthly_requests: int = 0
    latency_ms: float | None = None
    tokens_per_s: float | None = None


def by_model() -> dict[str, Popularity]:
    """Full slug -> its popularity; models that nobody used are not there. At most a minute old."""
    kept: dict[str, Popularity] | None = cache.get(_CACHE)
    if kept is None:
        kept = count(now=timezone.now())
        cache.set(_CACHE, kept, KEPT_SECONDS)
    return kept


def count(*, now: dt.datetime) -> dict[str, Popularity]:
    """The same, counted anew."""
    finished = Generation.objects.filter(status=Generation.Status.FINISHED)
    this_week = Q(created_at__gte=now - WEEK)
    totals = (
        finished.filter(created_at__gte=now - MONTH)
        .values("model")
        .annotate(
            requests=Count("pk"),
            prompt=Sum("prompt_tokens", filter=this_week, default=0),
            completion=Sum("completion_tokens", filter=this_week, default=0),
        )
        .order_by()
        .values_list("model", "requests", "prompt", "completion")
    )
    latencies, speeds = _samples(now)
    return {
        model: Popularity(
            weekly_tokens=prompt + completion,
            monthly_requests=requests,
            latency_ms=median(latencies[model]) if latencies[model] else None,
            tokens_per_s=median(speeds[model]) if speeds[model] else None,
        )
        for model, requests, prompt, completion in totals
    }


def _samples(now: dt.datetime) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds to the first token, and output tokens per second of the whole generation."""
    rows = Generation.objects.filter(status=Generation.Status.FINISHED, created_at__gte=now - LATELY)
    latencies: dict[str, list[float]] = defaultdict(list)
    speeds: dict[str, list[float]] = defaultdict(list)
    for model, latency_ms, generation_ms, tokens in rows.values_list(
        "model", "latency_ms", "generation_ms", "completion_tokens"
    )[:MOST_SAMPLES]:
        if latency_ms is not None:
            latencies[model].append(latency_ms)
        if generation_ms and tokens:
            speeds[model].append(tokens * 1000 / generation_ms)
    return latencies, speeds
