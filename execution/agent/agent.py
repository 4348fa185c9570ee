"""Warm instances of this host: given out, started, let go.

One lock guards the table of slots and what is known of paces; it is never held while a model starts, runs or stops.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from execution import runtimes
from execution.agent import orphans
from execution.agent.leases import Kept, Lease
from execution.agent.paces import Pace, Paces
from execution.agent.slots import Slot
from execution.agent.status import StatusDoor
from execution.agent.table import Table
from execution.runtimes.base import Alive, Instance, InstanceSpec, Runtime
from execution.scheduling.seats import Capacity, Seat

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.4


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
        self._table = Table(capacity)
        self._paces = Paces()
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._door: StatusDoor | None = None

    @property
    def slots(self) -> int:
        """How many instances may be there at one time; a GPU counts as one, though it may hold several small ones."""
        return self._table.places

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
        return orphans.reap(var=self._var, runtime=self.runtime, own=own)

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
            slots = self._table.clear()
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
        with self._lock:
            if self._draining.is_set() or (spec.trains and not self._table.may_train()):
                return None
            slot = self._table.warm(spec, pool)
            if slot is None:
                return None if pool or not opens else self._cold_lease(spec)
            slot.holders += 1
        return Lease(self, slot, was_warm=True)

    def keep(self, spec: InstanceSpec, *, pool: str) -> Kept | None:
        """A slot of its own for a pool, until it is let go; None when every slot is taken. Starts nothing yet."""
        with self._lock:
            slot = None if self._draining.is_set() else self._open(spec, pool)
        return Kept(self, slot) if slot is not None else None

    def favour(self, wanted: Mapping[str, int]) -> None:
        """From now on so many instances of each version are pushed out last, and not for being idle."""
        with self._lock:
            self._table.favoured = dict(wanted)

    def spare(self, spec: InstanceSpec, *, unused_seconds: float) -> Lease | None:
        """A lease on a new instance that nobody has asked for yet; its holder starts it and lets it be.

        It takes a free place, or one whose instance has not been used for so long and is not favoured; else None.
        """
        with self._lock:
            if self._draining.is_set():
                return None
            if not self._table.has_spare(spec, now=self._clock(), unused_seconds=unused_seconds):
                return None
            return self._cold_lease(spec)

    def let_go(self, slot: Slot) -> None:
        """Stop a kept slot; what runs there ends first."""
        with self._lock:
            self._table.drop(slot)
            is_free = slot.holders == 0
        if is_free:
            self._stop_later(slot.instance)

    def is_listed(self, slot: Slot) -> bool:
        """Whether the slot is still in the table: a broken instance leaves it."""
        with self._lock:
            return slot in self._table

    def _cold_lease(self, spec: InstanceSpec) -> Lease | None:
        """A lease on a slot that is made for it; None when all are in use. Called with the lock."""
        slot = self._open(spec, "")
        if slot is None:
            return None
        slot.holders += 1
        return Lease(self, slot, was_warm=False)

    def _open(self, spec: InstanceSpec, pool: str) -> Slot | None:
        """A new slot, for which idle instances may go; None when all are in use. Called with the lock."""
        slot, gone = self._table.open(spec, pool)
        self._stop_later(*gone)  # in threads of their own, without the lock
        return slot

    def release(self, slot: Slot) -> None:
        """The other end of a lease. A broken instance leaves its slot."""
        with self._lock:
            slot.holders -= 1
            slot.idle_since = self._clock()
            instance, is_last = slot.instance, slot.holders == 0
            if instance is None:
                # It has not started (yet): the one who starts it finds it unlisted, and stops it.
                self._table.drop(slot)
        if instance is None:
            return
        is_sound = instance.health() in ("ready", "busy")
        with self._lock:
            if slot.spec.trains or not is_sound:
                self._table.drop(slot)
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
            now = self._table.seats()
            return now, self._paces.known(one.version for one in now)

    def remember(self, version_id: str, *, start: float | None = None, run: float | None = None) -> None:
        """Learn from a start or a run, in seconds."""
        with self._lock:
            self._paces.learn(version_id, start=start, run=run)

    # --- housekeeping ---

    def _all(self) -> list[Slot]:
        with self._lock:
            return self._table.all()

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
            outlived = self._table.outlived(now=now, idle_seconds=self.idle_seconds)
        for slot in self._all():
            if slot.holders or slot.instance is None or slot.pool:
                continue
            if slot in outlived or slot.instance.health() == "lost":
                with self._lock:
                    if slot.holders == 0 and slot in self._table:
                        self._table.drop(slot)
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
