"""Between hosts: the one where a run starts soonest and pushes out what is missed least.

What a host said of itself is up to a second old. A host that can no longer take the run leaves it to wait, and whoever
becomes free takes it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from execution.scheduling.seats import Capacity, Seat


@dataclass(frozen=True, slots=True)
class Host:
    """What a host says of itself.

    `room`: runs that its started instances could take at once, by version. `free`: instances that could be opened
    without pushing any out. `idle_since`: when the one that would be pushed out was last used, in the caller's seconds;
    None when all are in use. `stored`: versions whose image and weights lie there.
    """

    name: str
    room: Mapping[str, int] = field(default_factory=dict)
    free: int = 0
    idle_since: float | None = None
    stored: Container[str] = ()


def of(name: str, seats: Sequence[Seat], capacity: Capacity, stored: Container[str] = ()) -> Host:
    """The host with these instances."""
    room: dict[str, int] = {}
    for one in seats:
        if one.room > 0 and not one.pool:
            room[one.version] = room.get(one.version, 0) + one.room
    taken = len({one.device for one in seats}) if capacity.devices else len(seats)
    places = len(capacity.devices) or capacity.seats
    idle = [one.idle_since for one in seats if one.is_idle]
    return Host(name, room, max(0, places - taken), min(idle, default=None), stored)


def place(hosts: Iterable[Host], version: str) -> str | None:
    """The name of the host that should take a run of this version; None when all that they have is in use.

    In this order: an instance that has started (of several, the host with least to spare, so that others fall idle);
    a host that has the image and room for one more; one that has the image and pushes out what has been idle for
    longest; a host without the image, likewise.
    """
    best: tuple[int, float, str] | None = None
    for host in hosts:
        room = host.room.get(version, 0)
        rank: tuple[int, float, str]
        if room > 0:
            rank = (0, host.free + room, host.name)
        elif host.free > 0:
            rank = (1 if version in host.stored else 3, -host.free, host.name)
        elif host.idle_since is not None:
            rank = (2 if version in host.stored else 4, host.idle_since, host.name)
        else:
            continue
        if best is None or rank < best:
            best = rank
    return best[2] if best else None


def after(host: Host, version: str, *, now: float) -> Host:
    """The host as it will be once it has taken a run of this version: for who sends several before it speaks again."""
    room = host.room.get(version, 0)
    if room > 0:
        return replace(host, room={**host.room, version: room - 1})
    if host.free > 0:
        return replace(host, free=host.free - 1)
    return replace(host, idle_since=None if host.idle_since is None else now)
