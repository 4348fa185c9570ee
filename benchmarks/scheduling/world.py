"""The simulated world: requests arrive, instances start, runs end, by a clock of its own. A policy says where."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from benchmarks.scheduling.machines import Machine, Running
from benchmarks.scheduling.workload import Model, Request
from execution import scaling
from execution.scaling import Bounds, Load, Scale

# As in production: how often the clock's task looks, what it rings for again, and what a deployment may have.
TICK, RING_AFTER, RING_AT_ONCE = 1.0, 2.0, 4
BOUNDS = Bounds(least=0, most=20, quiet=180.0)


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way. `began`: when the model took it."""

    request: Request
    began: float = -1.0
    was_cold: bool = False
    rung_at: float = 0.0
    on: tuple[Machine, Running] | None = None


@dataclass(slots=True)
class Deployment:
    """Instances of its own, as many as execution/scaling wants."""

    model: Model
    scale: Scale = field(default_factory=lambda: Scale(0))
    kept: list[tuple[Machine, Running]] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    running: int = 0


class Policy(Protocol):
    """Where a run goes, and what a machine does that has become free."""

    def place(self, world: World, model: Model) -> Machine | None:
        """The machine for a run that arrives or is rung for; None: it waits."""
        ...

    def place_kept(self, world: World, model: Model) -> Machine | None:
        """The machine for a deployment's instance."""
        ...

    def next_run(self, world: World, machine: Machine) -> Job | None:
        """What a machine takes on which a run has ended."""
        ...


class World:
    """Runs a trace on machines; then `jobs`, `busy` and the rest tell what came of it."""

    def __init__(self, *, machines: Sequence[Machine], requests: Sequence[Request], policy: Policy) -> None:
        self.machines = list(machines)
        self.named = {one.name: one for one in machines}
        self.jobs = [Job(one) for one in requests]
        self.now = 0.0
        self.waiting: OrderedDict[int, Job] = OrderedDict()
        self.waiting_of: dict[str, OrderedDict[int, Job]] = {}
        # By version: which machines have instances for everybody, and how many runs those do at one time.
        self.serving: dict[str, dict[str, int]] = {}
        # Seconds of GPUs in which something ran, and in which something started, inside the counted span.
        self._counted = (0.0, inf)
        self.busy = self.starting = 0.0
        self._policy = policy
        self._deployments: dict[str, Deployment] = {}
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._users: dict[tuple[str, str], tuple[int, float]] = {}

    def run(self, *, counted: tuple[float, float] = (0.0, inf)) -> None:
        """From the first request to the end of the last; a queue that is left is worked off after the counted span."""
        self._counted = counted
        for job in self.jobs:
            self._at(job.request.at, self._arrive, job)
        last = self.jobs[-1].request.at
        self._at(TICK, self._tick, last)
        while self._events:
            self.now, _, what, given = heapq.heappop(self._events)
            what(*given)

    def _at(self, when: float, what: Callable[..., None], *given: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, given))

    def _count(self, machine: Machine, model: Model, change: int) -> None:
        """An instance for everybody has begun (1) or gone (-1)."""
        there = self.serving.setdefault(model.version, {})
        there[machine.name] = there.get(machine.name, 0) + change * model.concurrency
        if there[machine.name] == 0:
            del there[machine.name]

    # --- shared models ---

    def _arrive(self, job: Job) -> None:
        request = job.request
        if request.deployment:
            self._arrive_deployed(job)
            return
        self.waiting[id(job)] = job
        self.waiting_of.setdefault(request.model.version, OrderedDict())[id(job)] = job
        self._ring(job)

    def _ring(self, job: Job) -> None:
        job.rung_at = self.now
        machine = self._policy.place(self, job.request.model)
        if machine is not None:
            self._take(machine, job)

    def _take(self, machine: Machine, job: Job) -> bool:
        """What an agent does with a doorbell: a warm instance, or a new one, or nothing."""
        model = job.request.model
        machine.say(self.now)
        one = machine.warm(model)
        if one is None:
            way = machine.opening(model)
            if way is None:
                return False
            for seat in way.evicted:
                self._count(machine, machine.running[seat.key].model, -1)
            one = self._open(machine, model, machine.open(model, way), "", job)
        del self.waiting[id(job)]
        del self.waiting_of[model.version][id(job)]
        one.holders += 1
        if one.ready:
            self._begin(machine, one, job)
        return True

    def _open(
        self, machine: Machine, model: Model, opened: tuple[Running, float], pool: str, job: Job | None
    ) -> Running:
        one, seconds = opened
        one.start_seconds = seconds
        if not pool:
            self._count(machine, model, 1)
        self.starting += self._inside(self.now, self.now + seconds)
        self._at(self.now + seconds, self._ready, machine, one, job)
        return one

    def _ready(self, machine: Machine, one: Running, job: Job | None) -> None:
        machine.say(self.now)
        one.ready, one.idle_since = True, self.now
        machine.remember(one.model, start=one.start_seconds)
        if job is not None:
            job.was_cold = True
            self._begin(machine, one, job)
        elif one.key in machine.running:
            self._fill(self._deployments[one.pool])

    def _begin(self, machine: Machine, one: Running, job: Job) -> None:
        job.began, job.on = self.now, (machine, one)
        self._use(machine, one, 1)
        self._at(self.now + job.request.seconds, self._end, machine, one, job)

    def _end(self, machine: Machine, one: Running, job: Job) -> None:
        machine.say(self.now)
        self._use(machine, one, -1)
        one.holders -= 1
        one.idle_since = self.now
        machine.remember(one.model, run=job.request.seconds)
        if job.request.deployment:
            deployment = self._deployments[job.request.deployment]
            deployment.running -= 1
            self._fill(deployment)
            return
        following = self._policy.next_run(self, machine)
        if following is not None:
            self._take(machine, following)

    def _use(self, machine: Machine, one: Running, change: int) -> None:
        """Count a device as busy while at least one run is on it."""
        place = machine.name, one.device
        users, since = self._users.get(place, (0, 0.0))
        if users and users + change == 0:
            self.busy += self._inside(since, self.now)
        self._users[place] = users + change, since if users else self.now

    def _inside(self, begin: float, end: float) -> float:
        """How many of these seconds are counted."""
        return max(0.0, min(end, self._counted[1]) - max(begin, self._counted[0]))

    # --- the clock ---

    def _tick(self, last: float) -> None:
        for machine in self.machines:
            if int(self.now) % 5 == 0:
                machine.say(self.now)
                for gone in machine.sweep(self.now):
                    self._count(machine, gone.model, -1)
        late = itertools.islice(
            (one for one in self.waiting.values() if one.rung_at < self.now - RING_AFTER), RING_AT_ONCE
        )
        for job in list(late):
            self._ring(job)
        for name, deployment in self._deployments.items():
            self._scale(name, deployment)
        if self.now < last or self.waiting or any(one.waiting for one in self._deployments.values()):
            self._at(self.now + TICK, self._tick, last)

    # --- deployments ---

    def _arrive_deployed(self, job: Job) -> None:
        name = job.request.deployment
        deployment = self._deployments.setdefault(name, Deployment(job.request.model))
        deployment.waiting.append(job)
        self._fill(deployment)

    def _fill(self, deployment: Deployment) -> None:
        for machine, one in deployment.kept:
            while deployment.waiting and one.ready and one.holders < one.model.concurrency:
                job = deployment.waiting.pop(0)
                machine.say(self.now)
                one.holders += 1
                deployment.running += 1
                job.was_cold = job.request.at < one.idle_since and one.holders == 1 and job.rung_at == 0.0
                self._begin(machine, one, job)

    def _scale(self, name: str, deployment: Deployment) -> None:
        waiting = deployment.waiting
        oldest = self.now - waiting[0].request.at if waiting else 0.0
        load = Load(running=deployment.running, waiting=len(waiting), oldest=oldest)
        deployment.scale = scaling.step(deployment.scale, bounds=BOUNDS, load=load, now=self.now)
        while len(deployment.kept) > deployment.scale.wanted:
            machine, one = deployment.kept.pop()
            machine.say(self.now)
            machine.running.pop(one.key, None)
        while len(deployment.kept) < deployment.scale.wanted:
            found = self._policy.place_kept(self, deployment.model)
            way = found.opening(deployment.model, name) if found else None
            if found is None or way is None:
                return
            found.say(self.now)
            for seat in way.evicted:
                self._count(found, found.running[seat.key].model, -1)
            opened = found.open(deployment.model, way, name)
            deployment.kept.append((found, self._open(found, deployment.model, opened, name, None)))
