"""Setting and reading dated prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from marketplace.models import Endpoint, Hardware, Price


def snapshot(
    *,
    endpoint_id: int | None = None,
    hardware_id: int | None = None,
    kind: str = Price.Kind.PRICE,
    at: dt.datetime | None = None,
) -> dict[str, int]:
    """Unit -> nano-USD per million units, in force at a moment (now unless said) for one thing."""
    rows = Price.objects.at(at or timezone.now()).filter(kind=kind)
    rows = rows.filter(endpoint=endpoint_id) if endpoint_id is not None else rows.filter(hardware=hardware_id)
    return dict(rows.values_list("unit", "nano_per_million"))


def snapshots(*, endpoint_ids: Iterable[int], at: dt.datetime | None = None) -> dict[int, dict[str, dict[str, int]]]:
    """Endpoint id -> kind -> unit -> price, for many endpoints in one query."""
    found: dict[int, dict[str, dict[str, int]]] = {}
    rows = Price.objects.at(at or timezone.now()).filter(endpoint_id__in=list(endpoint_ids))
    for endpoint_id, kind, unit, nano in rows.values_list("endpoint_id", "kind", "unit", "nano_per_million"):
        if endpoint_id is not None:
            found.setdefault(endpoint_id, {}).setdefault(kind, {})[unit] = nano
    return found


def history(*, endpoint_ids: Iterable[int], kind: str = Price.Kind.PRICE) -> list[Price]:
    """All price rows of these endpoints, past and present, the oldest first."""
    rows = Price.objects.filter(endpoint_id__in=list(endpoint_ids), kind=kind)
    return list(rows.order_by("effective_from", "endpoint_id", "unit", "pk"))


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One unit's price at one endpoint before and after a moment, nano-USD per million units."""

    at: dt.datetime
    endpoint_id: int
    unit: str
    before: int
    after: int

    @property
    def is_rise(self) -> bool:
        """Whether it became dearer."""
        return self.after > self.before


def changes(*, endpoint_ids: Iterable[int], since: dt.datetime) -> list[PriceChange]:
    """What became dearer or cheaper at these endpoints since a moment, the latest first; first prices are no change."""
    last: dict[tuple[int | None, str], int] = {}
    found = []
    for row in history(endpoint_ids=endpoint_ids):
        key = (row.endpoint_id, row.unit)
        before = last.get(key)
        last[key] = row.nano_per_million
        if row.endpoint_id is None or before in {None, row.nano_per_million} or row.effective_from < since:
            continue
        found.append(PriceChange(row.effective_from, row.endpoint_id, row.unit, int(before or 0), row.nano_per_million))
    return found[::-1]


def set_prices(
    *,
    prices: Mapping[str, int],
    endpoint: Endpoint | None = None,
    hardware: Hardware | None = None,
    kind: str = Price.Kind.PRICE,
    now: dt.datetime | None = None,
) -> bool:
    """Make these the prices from now on; a unit that is not named has none any more.

    Unchanged units keep their row. Returns whether anything changed.
    """
    now = now or timezone.now()
    with transaction.atomic():
        open_rows = {
            row.unit: row
            for row in Price.objects.filter(endpoint=endpoint, hardware=hardware, kind=kind, effective_to=None)
        }
        ended = [row.pk for unit, row in open_rows.items() if prices.get(unit) != row.nano_per_million]
        Price.objects.filter(pk__in=ended).update(effective_to=now)
        fresh = [
            Price(
                endpoint=endpoint,
                hardware=hardware,
                kind=kind,
                unit=unit,
                nano_per_million=nano,
                effective_from=now,
            )
            for unit, nano in prices.items()
            if unit not in open_rows or open_rows[unit].nano_per_million != nano
        ]
        Price.objects.bulk_create(fresh)
    return bool(ended or fresh)
