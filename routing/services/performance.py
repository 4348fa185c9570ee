"""What a model's page shows of its providers: uptime, speed, what was really paid, and prices over time as lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from marketplace.models import Price
from marketplace.services import prices
from marketplace.services.browse import Listing, Offer
from routing.models import EndpointDay
from routing.selection.history import Summary
from routing.services import days, measured

PRICES_SHOWN: Final = dt.timedelta(days=90)
WIDTH: Final = 600
HEIGHT: Final = 120
MOST_UNITS: Final = 2
STYLES: Final = 6
FAIR, GOOD = 90.0, 99.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: "good", "fair", "bad" or "none"; `x` is its place in the picture."""

    day: dt.date
    uptime: float | None
    x: int

    @property
    def kind(self) -> str:
        """Its class in the picture."""
        if self.uptime is None:
            return "none"
        return "good" if self.uptime >= GOOD else "fair" if self.uptime >= FAIR else "bad"


@dataclass(frozen=True, slots=True)
class Window:
    """Percentiles of a stretch of time: seconds to the first token, tokens a second; None where nothing was seen."""

    name: str
    latency: tuple[float, float] | None
    speed: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Row:
    """One provider's endpoint."""

    offer: Offer
    bars: Sequence[Bar]
    whole: EndpointDay
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Line:
    """One endpoint's price over time: an SVG path, the number of its style, and its steps for those who read."""

    provider: str
    style: int
    path: str
    steps: Sequence[Price]


@dataclass(frozen=True, slots=True)
class Chart:
    """One unit's price at every endpoint; `top` is the price at the picture's upper edge."""

    unit: str
    top: int
    since: dt.datetime
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Performance:
    """All of it. `effective` is nano-USD per million tokens as paid in 30 days, None where nobody paid."""

    rows: Sequence[Row]
    charts: Sequence[Chart]
    effective: int | None
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def is_known(self) -> bool:
        """Whether any endpoint was ever called."""
        return any(bar.uptime is not None for row in self.rows for bar in row.bars) or any(
            window.latency or window.speed for row in self.rows for window in row.windows
        )


def of(listing: Listing, *, now: dt.datetime | None = None) -> Performance:
    """A model's providers, in the order of its offers."""
    now = now or timezone.now()
    ids = [offer.endpoint.pk for offer in listing.offers]
    by_day, seen = days.of(ids, today=now.astimezone(dt.UTC).date()), measured.of(ids)
    rows = [_row(offer, by_day[offer.endpoint.pk], seen.get(offer.endpoint.pk), now) for offer in listing.offers]
    paid = days.total([row.whole for row in rows])
    effective = _rounded(paid.cost_nano * 1_000_000 // paid.tokens) if paid.tokens and paid.cost_nano else None
    return Performance(rows, charts(listing, now=now), effective)


def charts(listing: Listing, *, now: dt.datetime) -> list[Chart]:
    """The prices of the last 90 days, for input and output or else the first units that there are."""
    names = {offer.endpoint.pk: offer.endpoint.provider.name for offer in listing.offers}
    since = now - PRICES_SHOWN
    rows = [
        row
        for row in prices.history(endpoint_ids=names)
        if row.effective_from < now and (row.effective_to is None or row.effective_to > since)
    ]
    if not rows:
        return []
    units = sorted({row.unit for row in rows}, key=lambda unit: (unit != "prompt", unit != "completion", unit))
    start = max(since, min(row.effective_from for row in rows))
    found = []
    for unit in units[:MOST_UNITS]:
        steps = {pk: [row for row in rows if row.endpoint_id == pk and row.unit == unit] for pk in names}
        top = max((row.nano_per_million for row in rows if row.unit == unit), default=0)
        lines = [
            Line(names[pk], place % STYLES, path(its, since=start, until=now, top=top), its)
            for place, (pk, its) in enumerate(steps.items())
            if its
        ]
        found.append(Chart(unit, top, start, lines))
    return found


def path(steps: Sequence[Price], *, since: dt.datetime, until: dt.datetime, top: int) -> str:
    """A line of stairs through dated prices; where there was none it breaks off. `top` is just under the upper edge."""
    whole = max((until - since).total_seconds(), 1.0)

    def x(moment: dt.datetime) -> float:
        return round(WIDTH * min(max((moment - since).total_seconds() / whole, 0.0), 1.0), 1)

    parts: list[str] = []
    last: dt.datetime | None = None
    for step in steps:
        y = round(HEIGHT - 4 - (HEIGHT - 8) * step.nano_per_million / top, 1) if top else HEIGHT - 4
        begin, end = x(step.effective_from), x(step.effective_to or until)
        parts.append(f"V{y}" if last == step.effective_from else f"M{begin} {y}")
        parts.append(f"H{end}")
        last = step.effective_to
    return "".join(parts)


def _rounded(nano: int) -> int:
    """Three digits: an average has no more to say."""
    unit = int(10 ** max(0, len(str(nano)) - 3))
    return (nano + unit // 2) // unit * unit


def _row(offer: Offer, by_day: Sequence[EndpointDay | None], seen: measured.Measured | None, now: dt.datetime) -> Row:
    first = now.astimezone(dt.UTC).date() - dt.timedelta(days=len(by_day) - 1)
    bars = [
        Bar(first + dt.timedelta(days=place), day.uptime if day else None, 6 * place)
        for place, day in enumerate(by_day)
    ]
    spans = (("5 min", seen.last_5m), ("30 min", seen.last_30m), ("1 day", seen.last_1d)) if seen else ()
    return Row(offer, bars, days.total(by_day), [_window(name, summary) for name, summary in spans])


def _window(name: str, summary: Summary) -> Window:
    latency, speed = summary.latency_s, summary.throughput
    return Window(
        name,
        (latency[50], latency[90]) if latency else None,
        (speed[50], speed[90]) if speed else None,
    )
