"""What became of an endpoint's calls over time: counts and histograms by the minute, for people and for thresholds.

The choice itself uses the estimators of Standing, which react at once; percentiles need many samples. Buckets are
logarithmic, 8 % wide, so a percentile is off by 4 % at most. Times are seconds since 1970.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, exp, log
from typing import Final

MINUTE: Final = 60
LONG_SLOT: Final = 1_800
SHORT_KEPT: Final = 35 * MINUTE
LONG_KEPT: Final = 86_400 + LONG_SLOT
WIDTH: Final = log(1.08)
PERCENTILES: Final = (50, 75, 90, 99)


@dataclass(slots=True)
class Slot:
    """The calls of one stretch of time; histograms by bucket: milliseconds to the first token, tokens a second."""

    good: int = 0
    bad: int = 0
    limited: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    throughput: dict[int, int] = field(default_factory=dict)

    def add(self, other: "Slot") -> None:
        """Count another's calls too."""
        self.good += other.good
        self.bad += other.bad
        self.limited += other.limited
        for mine, others in ((self.latency, other.latency), (self.throughput, other.throughput)):
            for bucket, count in others.items():
                mine[bucket] = mine.get(bucket, 0) + count


@dataclass(frozen=True, slots=True)
class Summary:
    """A window: uptime in percent (refusals for want of capacity left out), percentiles by their number."""

    calls: int
    limited: int
    uptime: float | None
    latency_s: Mapping[int, float]
    throughput: Mapping[int, float]


class History:
    """One endpoint's slots: minutes for half an hour, half-hours for a day."""

    def __init__(self) -> None:
        self._short: dict[int, Slot] = {}
        self._long: dict[int, Slot] = {}

    def record(self, slot: Slot, *, now: float) -> None:
        """Add calls that ended now."""
        for slots, size, kept in ((self._short, MINUTE, SHORT_KEPT), (self._long, LONG_SLOT, LONG_KEPT)):
            at = int(now // size) * size
            if at not in slots:
                slots[at] = Slot()
                for old in [one for one in slots if one < now - kept]:
                    del slots[old]
            slots[at].add(slot)

    def over(self, seconds: int, *, now: float) -> Summary:
        """The last so many seconds, to the slot: at most half an hour by minutes, more by half-hours."""
        slots, size = (self._short, MINUTE) if seconds <= LONG_SLOT else (self._long, LONG_SLOT)
        return summary(slot for at, slot in slots.items() if now - seconds - size < at <= now)

    def uptimes(self, *, now: float) -> list[tuple[int, float | None]]:
        """(begin, uptime) for each half-hour of the last day, the oldest first: the bars of a model's page."""
        last = int(now // LONG_SLOT) * LONG_SLOT
        begins = range(last - 47 * LONG_SLOT, last + 1, LONG_SLOT)
        return [(at, summary([self._long[at]]).uptime if at in self._long else None) for at in begins]


def summary(slots: Iterable[Slot]) -> Summary:
    """All of the slots together."""
    whole = Slot()
    for slot in slots:
        whole.add(slot)
    judged = whole.good + whole.bad
    return Summary(
        calls=judged + whole.limited,
        limited=whole.limited,
        uptime=100 * whole.good / judged if judged else None,
        latency_s=_percentiles(whole.latency, scale=1 / 1000, descending=False),
        throughput=_percentiles(whole.throughput, scale=1.0, descending=True),
    )


def bucket_of(value: float) -> int:
    """The bucket of a value of at least one."""
    return int(log(max(1.0, value)) / WIDTH)


def _percentiles(counts: Mapping[int, int], *, scale: float, descending: bool) -> dict[int, float]:
    """Percentile -> value. Of throughput the 90th is what 90 of 100 calls reach: a lower number than the median."""
    total = sum(counts.values())
    if not total:
        return {}
    found: dict[int, float] = {}
    for percentile in PERCENTILES:
        left = ceil(total * percentile / 100)
        for bucket in sorted(counts, reverse=descending):
            left -= counts[bucket]
            if left <= 0:
                found[percentile] = exp((bucket + 0.5) * WIDTH) * scale
                break
    return found
