"""How many instances a deployment should have: pure, the clock comes in as seconds.

Up at once when work waits longer than `PATIENCE` or there is nothing to run it on; down only after demand has been
lower for `QUIET`, so that a pause between two requests costs no cold start and instances do not flap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 1.0
# How much waiting work one more instance is started for, for each run that it takes at one time.
WAITING_PER_INSTANCE: Final = 2


@dataclass(frozen=True, slots=True)
class Bounds:
    """The release's own limits, and for how long demand must be lower before instances go, in seconds.

    `each`: runs that one instance takes at one time.
    """

    least: int
    most: int
    quiet: float
    each: int = 1


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
    needed = min(max(_instances(load.running + load.waiting, bounds.each), bounds.least), bounds.most)
    if needed > wanted:
        return Scale(_more(wanted, bounds, load) if _is_pressing(wanted, load) else wanted)
    if needed == wanted:
        return Scale(wanted)
    since = now if scale.quiet_since is None else scale.quiet_since
    if now - since >= bounds.quiet:
        return Scale(needed)
    return Scale(wanted, since)


@dataclass(frozen=True, slots=True)
class Standing:
    """An instance of a deployment: its place, whether it is of the release in force, and whether it has started."""

    id: str
    place: int
    is_current: bool
    is_ready: bool


def surplus(standing: Sequence[Standing], *, wanted: int, makes_room: bool = False) -> set[str]:
    """Which instances go. Those of an earlier release stay until as many of the one in force have started.

    `makes_room`: no host has room for both, so one of the earlier goes before its successor starts.
    """
    current = sorted((one for one in standing if one.is_current), key=lambda one: one.place)
    gone = {one.id for one in current[wanted:]}
    ready = sum(one.is_ready for one in current[:wanted])
    old = sorted((one for one in standing if not one.is_current), key=lambda one: one.place)
    gone |= {one.id for one in old if not one.is_ready}
    spare = [one for one in old if one.is_ready][max(0, wanted - ready - makes_room) :]
    return gone | {one.id for one in spare}


def _is_pressing(wanted: int, load: Load) -> bool:
    return load.waiting > 0 and (wanted == 0 or load.oldest >= PATIENCE)


def _more(wanted: int, bounds: Bounds, load: Load) -> int:
    added = _instances(load.waiting, WAITING_PER_INSTANCE * bounds.each)
    return min(max(wanted + 1, _instances(load.running, bounds.each) + added), bounds.most)


def _instances(runs: int, each: int) -> int:
    return -(-runs // each)
