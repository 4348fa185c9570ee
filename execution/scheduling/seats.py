"""One host: which instance takes a run, where a new one goes, and what makes room for it.

A host of CPUs has so many seats. A host of GPUs has devices with memory: an instance takes a part of one device (all of
it unless its version says how much it needs), and a device holds instances of one tenant at one time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU by its id, with its memory in MiB."""

    id: str
    memory: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a host offers: devices, or where it has none so many seats."""

    seats: int = 0
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """What a run needs. `tenant`: whose code and data it is. `memory` in MiB of a device; 0 is all of it.

    With a `pool` only instances that are kept for it count.
    """

    version: str
    tenant: str = ""
    pool: str = ""
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """One instance, by a key of the caller's. `room`: runs that it could take on top now (none while it starts).

    `is_favoured`: an official model's, which others do not push out as long as there is anything else.
    """

    key: int
    version: str
    tenant: str = ""
    pool: str = ""
    device: str = ""
    memory: int = 0
    room: int = 0
    holders: int = 0
    idle_since: float = 0.0
    is_favoured: bool = False

    @property
    def is_idle(self) -> bool:
        """Nobody uses it and nobody pays for it: it may go."""
        return self.holders == 0 and not self.pool


@dataclass(frozen=True, slots=True)
class Opening:
    """A new instance goes on `device` ("" on a host without any) once `evicted` have gone."""

    device: str = ""
    evicted: tuple[Seat, ...] = ()


def warm(seats: Iterable[Seat], want: Want) -> Seat | None:
    """The started instance that takes the run: the fullest of those with room, so that others fall idle and may go."""
    fit = [one for one in seats if one.version == want.version and one.pool == want.pool and one.room > 0]
    return min(fit, key=lambda one: (one.room, -one.idle_since)) if fit else None


def opening(seats: Sequence[Seat], want: Want, capacity: Capacity) -> Opening | None:
    """Where a new instance goes, and who makes room: the least recently used. None when all that is there is in use."""
    if not capacity.devices:
        if len(seats) < capacity.seats:
            return Opening()
        victim = least_recently_used(seats)
        return Opening(evicted=(victim,)) if victim is not None else None
    ways = (_on(device, [one for one in seats if one.device == device.id], want) for device in capacity.devices)
    return min((way for way in ways if way is not None), key=lambda way: way[0], default=(None, None))[1]


def least_recently_used(seats: Iterable[Seat]) -> Seat | None:
    """The idle instance that goes first; an official model's only when there is no other."""
    return min((one for one in seats if one.is_idle), key=_worth, default=None)


def is_spare(way: Opening, *, now: float, unused_seconds: float) -> bool:
    """Whether nobody would miss what goes for it: nothing, or what no one has used for so long and is not favoured."""
    return all(not one.is_favoured and now - one.idle_since >= unused_seconds for one in way.evicted)


def outlived(seats: Iterable[Seat], *, now: float, idle_seconds: float) -> list[Seat]:
    """What has been idle for so long that it goes without being pushed; official models stay."""
    return [one for one in seats if one.is_idle and not one.is_favoured and now - one.idle_since >= idle_seconds]


def _worth(seat: Seat) -> tuple[bool, float]:
    return seat.is_favoured, seat.idle_since


_Cost = tuple[bool, float, int, int]


def _on(device: Device, there: list[Seat], want: Want) -> tuple[_Cost, Opening] | None:
    """What it costs to open on this device: the most valuable that must go for it, then the memory left unused."""
    needed = want.memory or device.memory
    strangers = [one for one in there if one.tenant != want.tenant]
    if needed > device.memory or any(not one.is_idle for one in strangers):
        return None
    gone = list(strangers)
    own = sorted((one for one in there if one.tenant == want.tenant), key=_worth)
    free = device.memory - sum(one.memory or device.memory for one in own)
    for one in own:
        if free >= needed:
            break
        if one.is_idle:
            gone.append(one)
            free += one.memory or device.memory
    if free < needed:
        return None
    favoured, last_used = max(map(_worth, gone), default=(False, NEVER))
    return (favoured, last_used, len(gone), free), Opening(device.id, tuple(sorted(gone, key=attrgetter("key"))))
