"""What an account used in a stretch of time, by hour or day, told apart by one thing: made from the hourly sums.

All of it is exact at any moment and adds up to the statement of the same time; nothing here reads the charges of
closed hours (services.rollups).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db.models import Min
from django.utils import timezone

from billing.models import UsageHour
from billing.services import rollups
from billing.services.rollups import GPU_UNIT, HOUR, Group, Sum
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey, User

DAY: Final = dt.timedelta(days=1)
SPANS: Final = {"24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days"}
STANDARD: Final = "30d"
TOKENS, GPU = "tokens", "gpu"
KINDS: Final = {TOKENS: "Tokens and media", GPU: "Run time"}
# What usage can be told apart by.
PARTS: Final = {"model": "Model", "key": "Key", "member": "Member", "provider": "Provider", "kind": "Kind"}
PLAYGROUND: Final = "playground"
NO_KEY: Final = "none"
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in whole hours or UTC days; the end is left out."""

    name: str
    since: dt.datetime
    until: dt.datetime
    step: dt.timedelta

    @property
    def columns(self) -> list[dt.datetime]:
        """The beginning of each hour or day."""
        return [self.since + self.step * place for place in range((self.until - self.since) // self.step)]

    @property
    def is_hourly(self) -> bool:
        """Whether its columns are hours."""
        return self.step == HOUR

    def written(self, column: dt.datetime) -> str:
        """A column as text: a day, or an hour of one."""
        return f"{column:%Y-%m-%d %H:00}" if self.is_hourly else f"{column:%Y-%m-%d}"

    def column_of(self, hour: dt.datetime) -> int:
        """Which column an hour falls into."""
        return (hour - self.since) // self.step


def span(name: str, *, now: dt.datetime | None = None) -> Span:
    """A span by its name: one of SPANS or a month such as 2026-11; anything else is the standard one."""
    now = now or timezone.now()
    month = _MONTH.fullmatch(name)
    if month is not None and 2000 <= int(month[1]) < 9999:
        first = dt.datetime(int(month[1]), int(month[2]), 1, tzinfo=dt.UTC)
        return Span(name, first, (first + dt.timedelta(days=32)).replace(day=1), DAY)
    if name == "24h":
        until = rollups.whole(now) + HOUR
        return Span(name, until - dt.timedelta(hours=24), until, HOUR)
    name = name if name in SPANS else STANDARD
    until = rollups.whole(now).replace(hour=0) + DAY
    return Span(name, until - dt.timedelta(days=int(name.removesuffix("d"))), until, DAY)


def months(*, account_id: int, now: dt.datetime | None = None) -> list[dt.date]:
    """The first days of the months since the account's first usage, the latest first; at least the present one."""
    now = rollups.whole(now or timezone.now())
    closed = UsageHour.objects.for_account(account_id).aggregate(first=Min("hour"))["first"]
    month, last = (closed or now).date().replace(day=1), now.date()
    found = []
    while month <= last:
        found.append(month)
        month = (month + dt.timedelta(days=32)).replace(day=1)
    return found[::-1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which usage is wanted; empty is all. `key` is a key's number, PLAYGROUND or NO_KEY."""

    span: Span
    part: str = "model"
    key: str = ""
    model: str = ""
    user_id: int | None = None
    kind: str = ""


@dataclass(slots=True)
class Part:
    """One model (or key, member, provider, kind): its sum, and its sum in every column."""

    name: str
    label: str
    total: Sum
    columns: list[Sum]

    @property
    def amounts(self) -> list[int]:
        """Nano-USD in every column."""
        return [one.amount_nano for one in self.columns]


@dataclass(slots=True)
class Report:
    """The parts, the dearest first, and all of them together."""

    wanted: Wanted
    parts: list[Part]
    total: Sum
    columns: list[Sum]
    # What there is to choose from in this span, before it was narrowed.
    models: list[str] = field(default_factory=list)
    used_keys: set[int] = field(default_factory=set)
    user_ids: set[int] = field(default_factory=set)

    @property
    def rows(self) -> list[tuple[str, Sum]]:
        """(Column, its sum) of every hour or day."""
        span = self.wanted.span
        return list(zip((span.written(column) for column in span.columns), self.columns, strict=True))


def report(*, account_id: int, wanted: Wanted, only_user_id: int | None = None) -> Report:
    """An account's usage. With `only_user_id` nothing of anybody else is in it, nor in the choices."""
    names = _Names(account_id)
    count = len(wanted.span.columns)
    found = Report(wanted, [], Sum(), [Sum() for _ in range(count)])
    parts: dict[str, Part] = {}
    models: set[str] = set()
    for group, one in rollups.usage(account_id=account_id, since=wanted.span.since, until=wanted.span.until):
        if only_user_id is not None and group.user_id != only_user_id:
            continue
        models.add(group.model)
        found.used_keys |= {group.key_id} if group.key_id else set()
        found.user_ids |= {group.user_id} if group.user_id else set()
        if not _fits(wanted, group, one, names):
            continue
        name = names.part(wanted.part, group, one)
        if name not in parts:
            parts[name] = Part(name, "", Sum(), [Sum() for _ in range(count)])
        part, place = parts[name], wanted.span.column_of(group.hour)
        for one_of_them in (part.total, part.columns[place], found.total, found.columns[place]):
            one_of_them.add(one)
    labels = names.labels(wanted.part, parts)
    for part in parts.values():
        part.label = labels[part.name]
    found.models = sorted(models - {""})
    found.parts = sorted(parts.values(), key=lambda part: (-part.total.amount_nano, part.label))
    return found


def csv_rows(found: Report) -> Iterator[list[str]]:
    """The report as rows of text, the head first: each hour or day of each part that was used; exact dollars."""
    span = found.wanted.span
    counts = ["requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", GPU_UNIT, "amount_usd"]
    yield ["hour" if span.is_hourly else "day", found.wanted.part, *counts]
    for place, column in enumerate(span.columns):
        for part in found.parts:
            one = part.columns[place]
            if one == Sum():
                continue
            numbers = (one.requests, one.prompt_tokens, one.completion_tokens, one.reasoning_tokens, one.gpu_ms)
            yield [span.written(column), inert(part.label), *map(str, numbers), format_usd(one.amount_nano)]


def inert(text: str) -> str:
    """Free text for a spreadsheet, which takes a cell that begins with certain signs for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def is_gpu(group: Group, found: Sum) -> bool:
    """Whether a group was paid by hardware time."""
    return GPU_UNIT in found.quantities


def _fits(wanted: Wanted, group: Group, found: Sum, names: _Names) -> bool:
    if wanted.model and group.model != wanted.model:
        return False
    if wanted.user_id is not None and group.user_id != wanted.user_id:
        return False
    if wanted.kind and is_gpu(group, found) != (wanted.kind == GPU):
        return False
    return not wanted.key or names.key(group.key_id) == wanted.key


class _Names:
    """Names of keys and people, looked up once: all playground keys are one."""

    def __init__(self, account_id: int) -> None:
        self._account_id = account_id
        playground = ApiKey.objects.filter(account_id=account_id, is_playground=True)
        self._playground = set(playground.values_list("pk", flat=True))

    def key(self, key_id: int | None) -> str:
        """A key as a choice of the filter."""
        if key_id is None:
            return NO_KEY
        return PLAYGROUND if key_id in self._playground else str(key_id)

    def part(self, by: str, group: Group, found: Sum) -> str:
        """What a group is counted under."""
        match by:
            case "key":
                return self.key(group.key_id)
            case "member":
                return str(group.user_id or "")
            case "provider":
                return group.provider
            case "kind":
                return GPU if is_gpu(group, found) else TOKENS
        return group.model or group.kind

    def labels(self, by: str, names: Iterable[str]) -> dict[str, str]:
        """Name -> how it is shown."""
        wanted = list(names)
        numbers = [int(name) for name in wanted if name.isdigit()]
        match by:
            case "key":
                rows = ApiKey.objects.filter(account_id=self._account_id, pk__in=numbers)
                known = {str(row.pk): f"{row.name} ({row.label})" for row in rows}
                known |= {PLAYGROUND: "Playground", NO_KEY: "Portal and deployments, without a key"}
            case "member":
                known = {str(row.pk): row.email for row in User.objects.filter(pk__in=numbers)}
                known[""] = "Nobody in particular"
            case "provider":
                known = {"": "Hosted here"}
            case "kind":
                known = dict(KINDS)
            case _:
                known = {}
        return {name: known.get(name, name) for name in wanted}


def shown(found: Report, *, most: int) -> list[tuple[str, Sequence[int]]]:
    """(Label, amounts by column) for a picture: the dearest parts, and the rest as one."""
    first: list[tuple[str, Sequence[int]]] = [(part.label, part.amounts) for part in found.parts[:most]]
    rest = found.parts[most:]
    if rest:
        first.append(
            (f"{len(rest)} others", [sum(amounts) for amounts in zip(*(one.amounts for one in rest), strict=True)])
        )
    return first
