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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from execution import runtimes
from execution.agent.status import StatusDoor
from execution.runtimes.base import Alive, Event, FileSink, Instance, InstanceSpec, Runtime

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.4
HALF_MADE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Slot:
    """One place for an instance. `started` is set once the start has ended, well or not.

    A slot with a `pool` was kept for somebody: it is neither idle nor evicted, and only work for that pool gets it.
    """

    spec: InstanceSpec
    pool: str = ""
    instance: Instance | None = None
    holders: int = 0
    idle_since: float = 0.0
    started: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @property
    def room(self) -> int:
        """Predictions that it could take on top. A model that is still starting may allow more than one; one counts."""
        return (self.instance.concurrency if self.instance else 1) - self.holders


class Lease:
    """The right to run one prediction on an instance. `was_warm`: the model had been started before."""

    def __init__(self, agent: Agent, slot: Slot, *, was_warm: bool) -> None:
        self.was_warm = was_warm
        self._agent = agent
        self._slot = slot
        self._released = False

    @property
    def instance(self) -> Instance | None:
        """The instance, once it has started."""
        return self._slot.instance

    def start(self, *, is_canceled: Callable[[], bool] = lambda: False) -> Iterator[Alive]:
        """Start the model when it is cold; says Alive while that takes. Raises SetupFailed, StartFailed."""
        yield from self._agent.bring_up(self._slot, is_canceled=is_canceled)

    def predict(
        self,
        *,
        prediction_id: str,
        input: Mapping[str, Any],
        files: Mapping[str, Path],
        sink: FileSink,
        is_canceled: Callable[[], bool] = lambda: False,
        run_seconds: float | None = None,
    ) -> Iterator[Event]:
        """Start when cold (Alive meanwhile), then run as base.Instance.predict. Raises SetupFailed, StartFailed."""
        yield from self.start(is_canceled=is_canceled)
        instance = self._slot.instance
        assert instance is not None  # noqa: S101 (start has raised otherwise)
        yield from instance.predict(
            prediction_id=prediction_id,
            input=input,
            files=files,
            sink=sink,
            is_canceled=is_canceled,
            run_seconds=run_seconds,
        )

    def release(self) -> None:
        """Give the place back; the instance stays warm when it is sound. May be called twice."""
        if not self._released:
            self._released = True
            self._agent.release(self._slot)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Kept:
    """A slot that is kept for a pool, from its start to `let_go`."""

    def __init__(self, agent: Agent, slot: Slot) -> None:
        self._agent = agent
        self._slot = slot

    def start(self, *, is_canceled: Callable[[], bool] = lambda: False) -> None:
        """Start the model and wait for it. Raises SetupFailed, StartFailed."""
        for _ in self._agent.start_kept(self._slot, is_canceled=is_canceled):
            continue

    @property
    def is_sound(self) -> bool:
        """Whether the started model still lives."""
        instance = self._slot.instance
        return instance is not None and self._agent.is_listed(self._slot) and instance.health() != "lost"

    @property
    def has_room(self) -> bool:
        """Whether another prediction could run there now."""
        return self._slot.instance is not None and self._slot.room > 0

    def let_go(self) -> None:
        """Stop it; what runs there ends first. May be called twice."""
        self._agent.let_go(self._slot)


class Agent:
    """Owns at most `slots` instances. Thread-safe; `acquire` never waits."""

    def __init__(
        self,
        *,
        hardware: str,
        slots: int,
        var: Path,
        idle_seconds: float = 300.0,
        kind: str = "process",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hardware = hardware
        self.slots = slots
        self.idle_seconds = idle_seconds
        self.runtime: Runtime = runtimes.load(kind=kind, var=var)
        self._var = var
        self._clock = clock
        self._lock = threading.Lock()
        self._table: list[Slot] = []
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._door: StatusDoor | None = None

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

    def acquire(self, spec: InstanceSpec, *, pool: str = "") -> Lease | None:
        """A lease, or None when every slot is taken. Never waits: a cold model starts inside the lease.

        A training gets an instance of its own, which goes with it, and never the last place: it may take hours.
        With a pool only what `keep` has started for it counts; nothing is started here.
        """
        victim: Instance | None = None
        with self._lock:
            if self._draining.is_set():
                return None
            if spec.trains and not self._may_train():
                return None
            slot = self._warm(spec, pool)
            was_warm = slot is not None
            if slot is None:
                if pool:
                    return None
                room, victim = self._make_room()
                if not room:
                    return None
                slot = Slot(spec=spec)
                self._table.append(slot)
            slot.holders += 1
        self._stop_later(victim)
        return Lease(self, slot, was_warm=was_warm)

    def keep(self, spec: InstanceSpec, *, pool: str) -> Kept | None:
        """A slot of its own for a pool, until it is let go; None when every slot is taken. Starts nothing yet."""
        with self._lock:
            room, victim = (False, None) if self._draining.is_set() else self._make_room()
            if not room:
                return None
            slot = Slot(spec=spec, pool=pool)
            self._table.append(slot)
        self._stop_later(victim)
        return Kept(self, slot)

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

    def _make_room(self) -> tuple[bool, Instance | None]:
        """Whether there is room for one more slot, and whose instance went for it. Called with the lock."""
        if len(self._table) < self.slots:
            return True, None
        idle = self._least_recently_used()
        if idle is None:
            return False, None
        self._table.remove(idle)
        return True, idle.instance

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
        if stale is not None and stale.health() == "lost":
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
            instance = self.runtime.start(slot.spec, is_canceled=lambda: is_canceled() or self._ended.is_set())
        except BaseException as error:
            slot.failure = error
        else:
            with self._lock:
                slot.instance = instance
                is_wanted = slot in self._table
            if not is_wanted:  # stopped while it started
                self._stop(instance)
        slot.started.set()

    def _warm(self, spec: InstanceSpec, pool: str) -> Slot | None:
        """A started, sound slot of this version and pool with room. Called with the lock."""
        for slot in self._table:
            if (
                slot.pool == pool
                and not (spec.trains or slot.spec.trains)
                and slot.spec.version_id == spec.version_id
                and slot.instance is not None
                and slot.room > 0
            ):
                return slot
        return None

    def _least_recently_used(self) -> Slot | None:
        idle = [slot for slot in self._table if slot.holders == 0 and not slot.pool]
        return min(idle, key=lambda slot: slot.idle_since) if idle else None

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
        for slot in self._all():
            if slot.holders or slot.instance is None or slot.pool:
                continue
            if now - slot.idle_since >= self.idle_seconds or slot.instance.health() == "lost":
                with self._lock:
                    if slot.holders == 0 and slot in self._table:
                        self._table.remove(slot)
                        gone.append(slot.instance)
        for instance in gone:
            self._stop(instance)
        return len(gone)

    def _stop_later(self, instance: Instance | None) -> None:
        if instance is None:
            return
        threading.Thread(target=self._stop, args=(instance,), name="model-stop", daemon=True).start()

    def _stop(self, instance: Instance | None) -> None:
        if instance is None:
            return
        with contextlib.suppress(Exception):
            instance.stop()

    def describe(self) -> dict[str, Any]:
        """What the status socket tells: plain values for JSON."""
        now = self._clock()
        instances = [
            {
                "version": slot.spec.version_id,
                "id": slot.instance.id if slot.instance else None,
                "pid": slot.instance.pid if slot.instance else None,
                "state": "starting" if slot.instance is None else "busy" if slot.holders else "idle",
                "pool": slot.pool,
                "trains": bool(slot.spec.trains),
                "running": slot.holders,
                "idle_seconds": round(now - slot.idle_since, 1) if not slot.holders else 0.0,
            }
            for slot in self._all()
        ]
        return {
            "hardware": self.hardware,
            "isolation": self.runtime.isolation,
            "isolation_note": self.runtime.isolation_note,
            "slots": self.slots,
            "free": self.slots - sum(1 for one in instances if one["state"] != "idle" or one["pool"]),
            "draining": self._draining.is_set(),
            "instances": instances,
        }
