"""How many instances a deployment should have: pure, the clock comes in as seconds.

Up at once when work waits longer than `PATIENCE` or there is nothing to run it on; down only after demand has been
lower for `QUIET`, so that a pause between two requests costs no cold start and instances do not flap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 1.0
# How much waiting work one more instance is started for.
WAITING_PER_INSTANCE: Final = 2


@dataclass(frozen=True, slots=True)
class Bounds:
    """The release's own limits, and for how long demand must be lower before instances go, in seconds."""

    least: int
    most: int
    quiet: float


@dataclass(frozen=True, slots=True)
class Load:
    """Predictions that run and wait now; how long the oldest has waited, in seconds."""

    running: int
    waiting: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Scale:
    """How many instances are wanted, and since when (in the caller's seconds) fewer would do."""

    wanted: int
    quiet_since: float | None = None


def step(scale: Scale, *, bounds: Bounds, load: Load, now: float) -> Scale:
    """The scale that follows. Never above `most`, never below `least`; `most` wins where they contradict."""
    wanted = min(max(scale.wanted, bounds.least), bounds.most)
    needed = min(max(load.running + load.waiting, bounds.least), bounds.most)
    if needed > wanted:
        return Scale(_more(wanted, bounds, load) if _is_pressing(wanted, load) else wanted)
    if needed == wanted:
        return Scale(wanted)
    since = now if scale.quiet_since is None else scale.quiet_since
    if now - since >= bounds.quiet:
        return Scale(needed)
    return Scale(wanted, since)


def _is_pressing(wanted: int, load: Load) -> bool:
    return load.waiting > 0 and (wanted == 0 or load.oldest >= PATIENCE)


def _more(wanted: int, bounds: Bounds, load: Load) -> int:
    added = -(-load.waiting // WAITING_PER_INSTANCE)
    return min(max(wanted + 1, load.running + added), bounds.most)
