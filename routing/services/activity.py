"""What an account did, by day, model and endpoint: sums over the hourly usage, so that they are those of its pages."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from billing.services import rollups
from billing.services.rollups import Group, Sum
from marketplace.lib.errors import InvalidRequest
from marketplace.models import ApiKey, Endpoint

DAYS: Final = 30  # completed UTC days
HOUSE: Final = "Turnpike"  # who serves hosted models


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which requests are wanted: of a day, a key, or of somebody: their keys, and what they did in the portal."""

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
    sums: dict[tuple[dt.date, str, int | None, str], Sum] = defaultdict(Sum)
    used = rollups.usage(account_id=account_id, since=_midnight(first), until=_midnight(last + dt.timedelta(days=1)))
    for group, found in _wanted(used, account_id, narrowed):
        sums[group.hour.date(), group.model, group.endpoint_number, group.provider].add(found)
    names = _names(number for _, _, number, _ in sums)
    made = [_row(*group, found, names) for group, found in sums.items()]
    return sorted(made, key=lambda row: (-row.date.toordinal(), row.model, row.endpoint_id or 0))


def _wanted(used: Iterable[tuple[Group, Sum]], account_id: int, narrowed: Narrowed) -> Iterable[tuple[Group, Sum]]:
    if narrowed.creator_id is not None:
        used = ((group, found) for group, found in used if group.user_id == narrowed.creator_id)
    if narrowed.key_digest is None:
        return used
    keys = ApiKey.objects.filter(account_id=account_id, digest=narrowed.key_digest)
    key_id = keys.values_list("pk", flat=True).first()
    return ((group, found) for group, found in used if key_id is not None and group.key_id == key_id)


def _row(
    day: dt.date, model: str, number: int | None, provider: str, found: Sum, names: dict[int, str]
) -> Row:  # fmt: skip
    return Row(
        date=day,
        model=model,
        provider_name=HOUSE if number is None else names.get(number, provider),
        endpoint_id=number,
        requests=found.requests,
        usage_nano=found.amount_nano,
        upstream_nano=found.upstream_nano,
        prompt_tokens=found.prompt_tokens,
        completion_tokens=found.completion_tokens,
        reasoning_tokens=found.reasoning_tokens,
    )


def _names(numbers: Iterable[int | None]) -> dict[int, str]:
    rows = Endpoint.objects.filter(pk__in={number for number in numbers if number is not None})
    return dict(rows.values_list("pk", "provider__name"))


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
