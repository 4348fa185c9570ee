"""Simulated hosts of GPUs. What is decided on them is execution/scheduling/seats, as in the production agent."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field

from benchmarks.scheduling.workload import GIB, Model
from execution.agent.paces import NEWEST
from execution.scheduling import hosts, seats
from execution.scheduling.hosts import Host
from execution.scheduling.seats import Capacity, Device, Opening, Seat, Want

GPU_MEMORY = 80 * GIB
DISK = 1_000.0  # GiB of images and weights that a host keeps, the least recently used go
FETCH = 1.0  # GiB a second from the registry
LOAD = 2.5  # GiB a second from the disk into a GPU
BEGIN = 2.0  # seconds until a container runs
BEAT = 1.0  # how often a host says how it is
IDLE_SECONDS = 300.0


@dataclass(eq=False, slots=True)
class Running:
    """An instance: when it is ready, who uses it."""

    key: int
    model: Model
    pool: str
    device: str
    ready: bool = False
    holders: int = 0
    idle_since: float = 0.0
    start_seconds: float = 0.0

    def seat(self) -> Seat:
        """As the decisions see it."""
        return Seat(
            key=self.key,
            version=self.model.version,
            tenant=self.pool or self.model.tenant,
            pool=self.pool,
            device=self.device,
            memory=self.model.memory,
            room=self.model.concurrency - self.holders if self.ready else 0,
            holders=self.holders if self.ready else max(1, self.holders),
            idle_since=self.idle_since,
        )


@dataclass(slots=True)
class Machine:
    """One host with its GPUs, its disk, and what it last said of itself."""

    name: str
    capacity: Capacity
    phase: float
    running: dict[int, Running] = field(default_factory=dict)
    stored: OrderedDict[str, float] = field(default_factory=OrderedDict)
    said: Host | None = None
    beats_at: float = 0.0
    # Remembered until the next change.
    opens: tuple[bool, set[str]] | None = None
    runs: int | None = None
    evictions: int = 0
    next_key: int = 0
    paces: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def say(self, now: float) -> Host:
        """What the others know of it: its state at its last beat. To be called before every change, too."""
        self.opens = self.runs = None
        if self.said is None or now >= self.beats_at:
            self.said = self.view()
            self.beats_at = (int((now + self.phase) / BEAT) + 1) * BEAT - self.phase
        return self.said

    def view(self) -> Host:
        """Its state now."""
        return hosts.of(self.name, [one.seat() for one in self.running.values()], self.capacity, self.stored)

    def remember(self, model: Model, *, start: float | None = None, run: float | None = None) -> None:
        """As the agent does: how long its starts and runs take here."""
        old_start, old_run = self.paces.get(model.version, (None, None))
        if run is not None and old_run is not None:
            run = old_run + NEWEST * (run - old_run)
        self.paces[model.version] = (old_start if start is None else start, old_run if run is None else run)

    def warm(self, model: Model, pool: str = "") -> Running | None:
        """A started instance that takes a run."""
        own = [one.seat() for one in self.running.values() if one.model is model and one.pool == pool]
        found = seats.warm(own, Want(model.version, pool or model.tenant, pool, model.memory))
        return self.running[found.key] if found else None

    def load(self) -> int:
        """How many runs and starts are under way."""
        if self.runs is None:
            self.runs = sum(max(one.holders, not one.ready) for one in self.running.values())
        return self.runs

    def may_open(self, model: Model) -> bool:
        """Whether `opening` could find a way, cheaply: a GPU that nobody uses, or one of the same publisher."""
        if self.opens is None:
            users = [one for one in self.running.values() if one.holders or not one.ready or one.pool]
            is_free = len({one.device for one in users}) < len(self.capacity.devices)
            self.opens = is_free, {one.model.tenant for one in users if one.model.memory}
        is_free, tenants = self.opens
        return is_free or model.tenant in tenants

    def opening(self, model: Model, pool: str = "") -> Opening | None:
        """Where a new instance would go."""
        want = Want(model.version, pool or model.tenant, pool, model.memory)
        return seats.opening([one.seat() for one in self.running.values()], want, self.capacity)

    def open(self, model: Model, way: Opening, pool: str = "") -> tuple[Running, float]:
        """A new instance and how long its start takes; what must go for it goes."""
        for one in way.evicted:
            del self.running[one.key]
            self.evictions += 1
        self.next_key += 1
        made = self.running[self.next_key] = Running(self.next_key, model, pool, way.device)
        seconds = BEGIN + model.weights / LOAD + model.setup_seconds
        if model.version not in self.stored:
            seconds += model.weights / FETCH
        self.keep(model)
        return made, seconds

    def keep(self, model: Model) -> None:
        """Image and weights lie on the disk from now on."""
        self.stored[model.version] = model.weights
        self.stored.move_to_end(model.version)
        while sum(self.stored.values()) > DISK:
            self.stored.popitem(last=False)

    def sweep(self, now: float) -> list[Running]:
        """Stop what has been idle for too long."""
        old = seats.outlived([one.seat() for one in self.running.values()], now=now, idle_seconds=IDLE_SECONDS)
        return [self.running.pop(one.key) for one in old]


def fleet(rng: random.Random, catalogue: list[Model], *, gpus: int, each: int = 8) -> list[Machine]:
    """Hosts of `each` GPUs, whose disks hold what was asked for before, the popular more often."""
    made = []
    devices = tuple(Device(str(i), GPU_MEMORY) for i in range(each))
    for i in range(gpus // each):
        one = Machine(f"h{i:03d}", Capacity(devices=devices), phase=rng.random())
        full = 0.0
        while full < DISK * 0.9:
            model = catalogue[int(rng.random() ** 3 * len(catalogue))]
            full += 0.0 if model.version in one.stored else model.weights
            one.stored[model.version] = model.weights
        made.append(one)
    return made
