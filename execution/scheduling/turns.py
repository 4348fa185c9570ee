"""What waits: whether another instance is worth its start, and which run a worker takes that has become free."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

# So long may a run be overtaken by younger ones whose model is warm where a place became free, in seconds.
PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that nobody has taken, and since when it waits, in the caller's seconds."""

    id: str
    version: str
    since: float


def is_worth_opening(*, ahead: int, serving: int, run_seconds: float, start_seconds: float) -> bool:
    """Whether a new instance would begin a run sooner than those that serve its version.

    `ahead` runs wait before it; `serving` runs at one time is what the version's instances do, those that start
    included; a run takes `run_seconds` and a start `start_seconds` as a rule.
    """
    return serving == 0 or (ahead + 1) * run_seconds / serving > start_seconds


def next_run(
    waiting: Sequence[Waiting],
    *,
    warm: Container[str],
    now: float,
    may_open: Callable[[Waiting], bool],
) -> Waiting | None:
    """The run that a worker takes whose instances of `warm` have room; None when it should take none.

    `waiting` is sorted, the oldest first. A run whose model is warm comes first, unless one that is worth a start has
    waited too long: nobody starves behind a busy model.
    """
    first = next((one for one in waiting if one.version in warm), None)
    oldest = next((one for one in waiting if one.version not in warm and may_open(one)), None)
    if first is None or oldest is None:
        return first or oldest
    return oldest if oldest.since < first.since and now - oldest.since > PATIENCE else first
