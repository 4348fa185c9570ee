"""Which host takes a run: workers say every second what they have, `execution.scheduling` chooses, and rings there.

What is said may be wrong by the time it is read. A worker that cannot take a run leaves it waiting, and the poller and
whoever becomes free find it in the database: a wrong choice costs seconds, never a run.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils import timezone

from execution import limits
from execution.agent.agent import Agent
from execution.agent.paces import Pace
from execution.models import Host, Prediction
from execution.scheduling import hosts, turns
from execution.scheduling.seats import Seat
from execution.scheduling.turns import Waiting
from execution.services import builds
from execution.states import Status
from marketplace.models import Version

# What is assumed of a version whose instances have not told yet, in seconds: rather another start than a long wait.
START_SECONDS: Final = 20.0
RUN_SECONDS: Final = 60.0
# A host makes another's build when those that have it have been full for so long; what that is assumed to take.
COPY_AFTER: Final = dt.timedelta(seconds=10)
COPY_SECONDS: Final = 60.0
# Of the runs that wait so many of the oldest are looked at.
WINDOW: Final = 20
MOST_STORED: Final = 2_000
LOOK_SECONDS: Final = 10.0  # how often the builds on this host are looked for

_lock = threading.Lock()
# What this process has sent to a host since the host last spoke.
_sent: dict[str, tuple[dt.datetime, hosts.Host]] = {}


@dataclass(frozen=True, slots=True)
class Worker:
    """Who this worker is: its name in leases, its hardware, and the queue that it alone listens to."""

    name: str
    hardware: str
    queue: str


class Voice:
    """What tells the others of this host, once a second."""

    def __init__(self, *, worker: Worker, agent: Agent) -> None:
        self._worker = worker
        self._agent = agent
        self._stored: list[str] = []
        self._looked_at = float("-inf")

    def say(self, *, now: dt.datetime | None = None) -> None:
        """Tell how this host is."""
        now = now or timezone.now()
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._stored, self._looked_at = _stored(), time.monotonic()
        seats, paces = self._agent.outlook()
        view = hosts.of(self._worker.name, seats, self._agent.capacity)
        idle = None if view.idle_since is None else now - dt.timedelta(seconds=time.monotonic() - view.idle_since)
        said = {
            "hardware": self._worker.hardware,
            "queue": self._worker.queue,
            "beat_at": now,
            "free": view.free,
            "idle_since": idle,
            "instances": _by_version(seats, paces),
            "stored": self._stored,
        }
        if not Host.objects.filter(pk=self._worker.name).update(**said):
            Host.objects.create(name=self._worker.name, **said)

    def leave(self) -> None:
        """This host takes no more."""
        Host.objects.filter(name=self._worker.name).delete()


def forget_lost(*, now: dt.datetime) -> None:
    """Remove workers that went silent."""
    Host.objects.filter(beat_at__lt=now - limits.LEASE).delete()


def queue_for(*, version: Version, hardware: str, otherwise: str, now: dt.datetime | None = None) -> str:
    """The queue to ring for a run of this version: the best host's own, or `otherwise` where no host stands out."""
    now = now or timezone.now()
    rows = _live(hardware, now)
    if len(rows) < 2:
        return otherwise
    able = [row for row in rows if version.pk in row.stored] or rows
    with _lock:
        views = [_view(row) for row in able]
        name = hosts.place(views, version.pk)
        if name is None:
            return otherwise
        row, view = next((row, view) for row, view in zip(able, views, strict=True) if row.name == name)
        _sent[name] = (row.beat_at, hosts.after(view, version.pk, now=now.timestamp()))
    return row.queue


def is_best(*, name: str, version: Version, hardware: str, now: dt.datetime | None = None) -> bool:
    """Whether no other host is a better place for one more instance of this version."""
    views = [replace(_plain(row), room={}) for row in _live(hardware, now or timezone.now())]
    return hosts.place(views, version.pk) in (name, None)


def is_built_elsewhere(*, version: Version, hardware: str, now: dt.datetime | None = None) -> bool:
    """Whether a living host has the version's build."""
    return any(version.pk in row.stored for row in _live(hardware, now or timezone.now()))


def next_run(*, agent: Agent, hardware: str, trains: bool = True, now: dt.datetime | None = None) -> str | None:
    """What this worker takes when it has become free: no deployment's prediction, nor a training unless it `trains`."""
    now = now or timezone.now()
    seats, _ = agent.outlook()
    warm = {one.version for one in seats if one.room > 0 and not one.pool}
    rows = Prediction.objects.filter(
        status=Status.STARTING, lease_expires_at=None, hardware__sku=hardware, deployment=None
    )
    if not trains:
        rows = rows.exclude(kind=Prediction.Kind.TRAINING)
    rows = rows.order_by("created_at")
    found = {row.pk: row for row in rows.select_related("version")[:WINDOW]}
    if warm and len(found) == WINDOW:
        found |= {row.pk: row for row in rows.select_related("version").filter(version_id__in=warm)[:WINDOW]}
    waiting = sorted(found.values(), key=lambda row: row.created_at)
    chosen = turns.next_run(
        [Waiting(row.pk, row.version_id, row.created_at.timestamp()) for row in waiting],
        warm=warm,
        now=now.timestamp(),
        may_open=lambda one: may_open(prediction=found[one.id], hardware=hardware, now=now),
    )
    return chosen.id if chosen else None


def may_open(*, prediction: Prediction, hardware: str, now: dt.datetime | None = None) -> bool:
    """Whether this host should start an instance for the run: it can, and that is sooner than those that serve it."""
    now = now or timezone.now()
    rows = _live(hardware, now)
    version = prediction.version
    is_here = builds.folder(version.build_path).is_dir()
    if not is_here and not _is_worth_a_copy(prediction, rows, now):
        return False
    if prediction.is_training:  # nothing that runs would serve it
        return True
    serving, starts, runs = 0, list[float](), list[float]()
    for said in (row.instances.get(version.pk) for row in rows):
        if said:
            serving += said["serving"]
            starts += [said["start"]] if said.get("start") is not None else []
            runs += [said["run"]] if said.get("run") is not None else []
    if not serving:
        return True
    ahead = Prediction.objects.filter(
        status=Status.STARTING,
        lease_expires_at=None,
        deployment=None,
        version=version,
        created_at__lt=prediction.created_at,
    )
    return turns.is_worth_opening(
        ahead=ahead.count(),
        serving=serving,
        run_seconds=_mean(runs, RUN_SECONDS),
        start_seconds=_mean(starts, START_SECONDS) + (0.0 if is_here else COPY_SECONDS),
    )


def _is_worth_a_copy(prediction: Prediction, rows: list[Host], now: dt.datetime) -> bool:
    """Whether a host without the build should make it: nobody has it, or all who have it are in use for a while."""
    owners = [_plain(row) for row in rows if prediction.version_id in row.stored]
    if not owners:
        return True
    is_full = hosts.place(owners, prediction.version_id) is None
    return is_full and now - prediction.created_at >= COPY_AFTER


def _live(hardware: str, now: dt.datetime) -> list[Host]:
    return list(Host.objects.filter(hardware=hardware, beat_at__gte=now - limits.LEASE))


def _view(row: Host) -> hosts.Host:
    """What the host said, and what was sent there since. Called with the lock."""
    sent = _sent.get(row.name)
    if sent is not None and sent[0] == row.beat_at:
        return sent[1]
    _sent.pop(row.name, None)
    return _plain(row)


def _plain(row: Host) -> hosts.Host:
    return hosts.Host(
        name=row.name,
        room={version: said["room"] for version, said in row.instances.items()},
        free=row.free,
        idle_since=row.idle_since.timestamp() if row.idle_since else None,
        stored=frozenset(row.stored),
    )


def _by_version(seats: list[Seat], paces: dict[str, Pace]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for seat in seats:
        if seat.pool:
            continue
        said = found.setdefault(seat.version, {"room": 0, "serving": 0, "standing": 0})
        said["room"] += max(0, seat.room)
        said["serving"] += max(1, seat.room + seat.holders)
        said["standing"] += 1
        if seat.version in paces:
            said |= {"start": paces[seat.version].start, "run": paces[seat.version].run}
    return found


def _stored() -> list[str]:
    """The versions whose builds lie on this host, the newest first."""
    versions = Version.objects.exclude(build_path="").order_by("-created_at").values_list("pk", "build_path")
    return [pk for pk, path in versions[:MOST_STORED] if builds.folder(path).is_dir()]


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise
