"""Warm instances of this host: who holds which, who must go, what is left of a dead worker.

One lock guards the table of slots and is never held while a model starts, runs or stops.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from execution import runtimes
from execution.agent.leases import Kept, Lease
from execution.agent.slots import Pace, Slot, seats_of, served
from execution.agent.status import StatusDoor
from execution.runtimes.base import Alive, Instance, InstanceSpec, Runtime
from execution.scheduling import seats
from execution.scheduling.seats import Capacity, Seat, Want

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.4
HALF_MADE_SECONDS: Final = 60.0
# Of how many versions an agent remembers how long they start and run, and how much the newest run counts.
REMEMBERED: Final = 1_000
NEWEST: Final = 0.3


class Agent:
    """Owns as many instances as its capacity has seats, or its devices memory. Thread-safe; `acquire` never waits."""

    def __init__(
        self,
        *,
        hardware: str,
        capacity: Capacity,
        var: Path,
        idle_seconds: float = 300.0,
        kind: str = "process",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hardware = hardware
        self.capacity = capacity
        self.idle_seconds = idle_seconds
        self.runtime: Runtime = runtimes.load(kind=kind, var=var)
        self._var = var
        self._clock = clock
        self._lock = threading.Lock()
        self._table: list[Slot] = []
        self._paces: dict[str, Pace] = {}
        self._favoured: Mapping[str, int] = {}
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._door: StatusDoor | None = None

    @property
    def slots(self) -> int:
        """How many instances may be there at one time; a GPU counts as one, though it may hold several small ones."""
        return len(self.capacity.devices) or self.capacity.seats

    # --- life ---

    def start(self) -> None:
        """Reap what a dead worker left, open var/run/agent.sock, begin to stop idle instances."""
        self.reap()
        self._door = StatusDoor(var=self._var, answer=self.describe)
        self._sweeper = threading.Thread(target=self._sweep, name="agent-sweep", daemon=True)
        self._sweeper.start()

    def reap(self) -> int:
        """End instances that are recorded on disk but not ours, by pid and start time. How many still ran."""
        own = {slot.instance.id for slot in self._all() if slot.instance}
        found = 0
        for home in sorted((self._var / "instances").glob("*")):
            if home.name in own or not home.is_dir():
                continue
            try:
                record = json.loads((home / "record.json").read_text())
                pid, started_at = int(record["pid"]), float(record["started_at"])
            except (OSError, ValueError, KeyError):
                # No record: left half-made, unless another worker is just making it.
                if time.time() - home.stat().st_mtime > HALF_MADE_SECONDS:
                    shutil.rmtree(home, ignore_errors=True)
                continue
            if self.runtime.reap(pid=pid, started_at=started_at, instance_id=home.name):
                found += 1
                log.warning("Reaped instance %s of a dead worker (pid %d).", home.name, pid)
        return found

    def drain(self, *, seconds: float = 30.0) -> None:
        """Take nothing new, wait for what runs at most so long, stop everything. For SIGTERM."""
        self._draining.set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(slot.holders for slot in self._all()):
            time.sleep(0.05)
        self.stop()

    def stop(self) -> None:
        """Stop everything at once. May be called twice."""
        self._draining.set()
        self._ended.set()
        with self._lock:
            slots, self._table = self._table, []
        for slot in slots:
            self._stop(slot.instance)
        if self._door is not None:
            self._door.close()
        if self._sweeper is not None:
            self._sweeper.join(5.0)

    # --- leases ---

    def acquire(self, spec: InstanceSpec, *, pool: str = "", opens: bool = True) -> Lease | None:
        """A lease, or None when every slot is taken. Never waits: a cold model starts inside the lease.

        A training gets an instance of its own, which goes with it, and never the last place: it may take hours.
        With a pool only what `keep` has started for it counts; nothing is started here, nor without `opens`.
        """
        victims: list[Instance | None] = []
        with self._lock:
            if self._draining.is_set():
                return None
            if spec.trains and not self._may_train():
                return None
            found = seats.warm(self._seats(), _want(spec, pool))
            slot = self._table[found.key] if found else None
            if slot is None:
                if pool or not opens:
                    return None
                slot, victims = self._open(spec, "")
                if slot is None:
                    return None
            slot.holders += 1
        self._stop_later(*victims)
        return Lease(self, slot, was_warm=found is not None)

    def keep(self, spec: InstanceSpec, *, pool: str) -> Kept | None:
        """A slot of its own for a pool, until it is let go; None when every slot is taken. Starts nothing yet."""
        with self._lock:
            slot, victims = (None, []) if self._draining.is_set() else self._open(spec, pool)
        if slot is None:
            return None
        self._stop_later(*victims)
        return Kept(self, slot)

    def favour(self, wanted: Mapping[str, int]) -> None:
        """From now on so many instances of each version are pushed out last, and not for being idle."""
        with self._lock:
            self._favoured = dict(wanted)

    def spare(self, spec: InstanceSpec, *, unused_seconds: float) -> Lease | None:
        """A lease on a new instance that nobody has asked for yet; its holder starts it and lets it be.

        It takes a free place, or one whose instance has not been used for so long and is not favoured; else None.
        """
        with self._lock:
            way = None if self._draining.is_set() else seats.opening(self._seats(), _want(spec, ""), self.capacity)
            if way is None or not seats.is_spare(way, now=self._clock(), unused_seconds=unused_seconds):
                return None
            slot, victims = self._open(spec, "")
            if slot is None:
                return None
            slot.holders += 1
        self._stop_later(*victims)
        return Lease(self, slot, was_warm=False)

    def let_go(self, slot: Slot) -> None:
        """Stop a kept slot; what runs there ends first."""
        with self._lock:
            if slot in self._table:
                self._table.remove(slot)
            is_free = slot.holders == 0
        if is_free:
            self._stop_later(slot.instance)

    def is_listed(self, slot: Slot) -> bool:
        """Whether the slot is still in the table: a broken instance leaves it."""
        with self._lock:
            return slot in self._table

    def _may_train(self) -> bool:
        """Whether a place is left for what is short. Called with the lock."""
        return sum(bool(slot.spec.trains) for slot in self._table) < max(1, self.slots - 1)

    def _seats(self) -> list[Seat]:
        """The table as the decisions see it; a seat's key is its place there. Called with the lock."""
        return seats_of(self._table, favoured=self._favoured)

    def _open(self, spec: InstanceSpec, pool: str) -> tuple[Slot | None, list[Instance | None]]:
        """A new slot, and the instances that went for it; no slot when all are in use. Called with the lock."""
        way = seats.opening(self._seats(), _want(spec, pool), self.capacity)
        if way is None:
            return None, []
        gone = [self._table[one.key] for one in way.evicted]
        for slot in gone:
            self._table.remove(slot)
        made = Slot(spec=spec, pool=pool, device=way.device)
        self._table.append(made)
        return made, [slot.instance for slot in gone]

    def release(self, slot: Slot) -> None:
        """The other end of a lease. A broken instance leaves its slot."""
        with self._lock:
            slot.holders -= 1
            slot.idle_since = self._clock()
            instance, is_last = slot.instance, slot.holders == 0
            if instance is None and slot in self._table:
                # It has not started (yet): the one who starts it finds it unlisted, and stops it.
                self._table.remove(slot)
        if instance is None:
            return
        is_sound = instance.health() in ("ready", "busy")
        with self._lock:
            if slot in self._table and (slot.spec.trains or not is_sound):
                self._table.remove(slot)
            is_listed = slot in self._table
        if is_last and not is_listed:
            self._stop_later(instance)

    def bring_up(self, slot: Slot, *, is_canceled: Callable[[], bool]) -> Iterator[Alive]:
        """Start the slot's model in a thread of its own, once; others of the same slot wait for it."""
        stale = slot.instance
        if stale is not None and not stale.is_there():
            with self._lock:
                # It died while nobody looked: its only holder starts another in its place.
                if slot.holders == 1 and slot.instance is stale:
                    slot.instance, slot.started = None, threading.Event()
            self._stop(stale)
        with self._lock:
            is_first = slot.holders == 1 and slot.instance is None and not slot.started.is_set()
        if is_first:
            threading.Thread(target=self._start, args=(slot, is_canceled), name="model-start", daemon=True).start()
        while not slot.started.wait(TICK_SECONDS):
            yield Alive()
        if slot.failure is not None:
            raise slot.failure
        if slot.instance is None:
            raise RuntimeError("the slot ended before its model had started")

    def start_kept(self, slot: Slot, *, is_canceled: Callable[[], bool]) -> Iterator[Alive]:
        """Start a kept slot's model; it counts as held meanwhile, so that nobody takes it half-started."""
        with self._lock:
            slot.holders += 1
        try:
            yield from self.bring_up(slot, is_canceled=is_canceled)
        finally:
            with self._lock:
                slot.holders -= 1
                slot.idle_since = self._clock()

    def _start(self, slot: Slot, is_canceled: Callable[[], bool]) -> None:
        try:
            spec = replace(slot.spec, gpus=(slot.device,) if slot.device else ())
            instance = self.runtime.start(spec, is_canceled=lambda: is_canceled() or self._ended.is_set())
        except BaseException as error:
            slot.failure = error
        else:
            self.remember(slot.spec.version_id, start=instance.setup_seconds)
            with self._lock:
                slot.instance = instance
                is_wanted = slot in self._table
            if not is_wanted:  # stopped while it started
                self._stop(instance)
        slot.started.set()

    # --- what others are told ---

    def outlook(self) -> tuple[list[Seat], dict[str, Pace]]:
        """The instances as the decisions see them, and the pace of their versions as far as it is known."""
        with self._lock:
            now = self._seats()
            return now, {one.version: self._paces[one.version] for one in now if one.version in self._paces}

    def remember(self, version_id: str, *, start: float | None = None, run: float | None = None) -> None:
        """Learn from a start or a run, in seconds."""
        with self._lock:
            old = self._paces.pop(version_id, Pace())
            if run is not None and old.run is not None:
                run = old.run + NEWEST * (run - old.run)
            self._paces[version_id] = Pace(
                start=old.start if start is None else start, run=old.run if run is None else run
            )
            while len(self._paces) > REMEMBERED:
                del self._paces[next(iter(self._paces))]

    # --- housekeeping ---

    def _all(self) -> list[Slot]:
        with self._lock:
            return list(self._table)

    def _sweep(self) -> None:
        while not self._ended.wait(SWEEP_SECONDS):
            try:
                self.sweep()
            except Exception:
                log.exception("The agent's sweep failed; it goes on.")

    def sweep(self) -> int:
        """Stop what has been idle for too long and what has died meanwhile. How many."""
        now, gone = self._clock(), []
        with self._lock:
            old = seats.outlived(self._seats(), now=now, idle_seconds=self.idle_seconds)
            outlived = [self._table[one.key] for one in old]
        for slot in self._all():
            if slot.holders or slot.instance is None or slot.pool:
                continue
            if slot in outlived or slot.instance.health() == "lost":
                with self._lock:
                    if slot.holders == 0 and slot in self._table:
                        self._table.remove(slot)
                        gone.append(slot.instance)
        for instance in gone:
            self._stop(instance)
        return len(gone)

    def _stop_later(self, *instances: Instance | None) -> None:
        for instance in instances:
            if instance is not None:
                threading.Thread(target=self._stop, args=(instance,), name="model-stop", daemon=True).start()

    def _stop(self, instance: Instance | None) -> None:
        if instance is None:
            return
        with contextlib.suppress(Exception):
            instance.stop()

    def describe(self) -> dict[str, Any]:
        """What the status socket tells: plain values for JSON."""
        now = self._clock()
        instances = [slot.told(now=now) for slot in self._all()]
        return {
            "hardware": self.hardware,
            "isolation": self.runtime.isolation,
            "isolation_note": self.runtime.isolation_note,
            "slots": self.slots,
            "free": self.slots - sum(1 for one in instances if one["state"] != "idle" or one["pool"]),
            "draining": self._draining.is_set(),
            "instances": instances,
        }


def _want(spec: InstanceSpec, pool: str) -> Want:
    return Want(version=served(spec), tenant=pool or spec.tenant, pool=pool, memory=spec.gpu_memory)
