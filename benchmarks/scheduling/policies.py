"""Ours, which only carries production's decisions into the simulated world, and what it is measured against."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

from benchmarks.scheduling.machines import Machine
from benchmarks.scheduling.workload import Model
from benchmarks.scheduling.world import Job, World
from execution.scheduling import hosts, turns
from execution.scheduling.hosts import Host
from execution.scheduling.turns import Waiting

# As in execution/services/hosts: of the oldest that wait so many are looked at, and what is assumed of a new model.
WINDOW, START_SECONDS, RUN_SECONDS = 20, 20.0, 60.0


class Turnpike:
    """Production: what hosts say is up to a second old, and whoever places remembers what it has just placed."""

    def __init__(self, *, seed: int, waits: bool = True, prefers_stored: bool = True) -> None:
        self._waits, self._prefers_stored = waits, prefers_stored
        self._seen: dict[str, Host] = {}
        self._noted: dict[str, Host] = {}

    def place(self, world: World, model: Model) -> Machine | None:
        """The best of all hosts, unless the instances that there are begin the run sooner than a new one."""
        views = self._views(world)
        name = hosts.place(views, model.version)
        if name is None:
            return None
        is_warm = self._noted[name].room.get(model.version, 0) > 0
        ahead = len(world.waiting_of.get(model.version, ())) - 1
        if not is_warm and not self._is_worth(world, model, max(0, ahead)):
            return None
        self._noted[name] = hosts.after(self._noted[name], model.version, now=world.now)
        return world.named[name]

    def place_kept(self, world: World, model: Model) -> Machine | None:
        """A host with the image; what stands there for everybody does not count."""
        views = [Host(one.name, {}, one.free, one.idle_since, one.stored) for one in self._views(world)]
        name = hosts.place(views, model.version)
        if name is None:
            return None
        self._noted[name] = hosts.after(self._noted[name], "", now=world.now)
        return world.named[name]

    def next_run(self, world: World, machine: Machine) -> Job | None:
        """By production's rule for turns, over the oldest that wait and those whose model is warm here."""
        if not world.waiting:
            return None
        warm = {
            one.model.version
            for one in machine.running.values()
            if one.ready and not one.pool and one.holders < one.model.concurrency
        }
        found = {id(job): job for job, _ in zip(world.waiting.values(), range(WINDOW), strict=False)}
        for version in warm:
            of_version = world.waiting_of.get(version)
            if of_version:
                key = next(iter(of_version))
                found[key] = of_version[key]
        jobs = sorted(found.values(), key=lambda one: one.request.at)
        by_id = {str(i): one for i, one in enumerate(jobs)}
        waiting = [Waiting(key, one.request.model.version, one.request.at) for key, one in by_id.items()]
        chosen = turns.next_run(
            waiting,
            warm=warm,
            now=world.now,
            may_open=lambda one: self._is_worth(world, by_id[one.id].request.model, 0),
        )
        return by_id[chosen.id] if chosen else None

    def _is_worth(self, world: World, model: Model, ahead: int) -> bool:
        there = world.serving.get(model.version)
        if not there or not self._waits:
            return True
        paces = [world.named[name].paces.get(model.version, (None, None)) for name in there]
        starts = [start for start, _ in paces if start is not None]
        runs = [run for _, run in paces if run is not None]
        return turns.is_worth_opening(
            ahead=ahead,
            serving=sum(there.values()),
            run_seconds=statistics.fmean(runs) if runs else RUN_SECONDS,
            start_seconds=statistics.fmean(starts) if starts else START_SECONDS,
        )

    def _views(self, world: World) -> list[Host]:
        for machine in world.machines:
            if world.now < machine.beats_at and self._seen.get(machine.name) is machine.said:
                continue
            said = machine.say(world.now)
            if self._seen.get(machine.name) is not said:
                self._seen[machine.name] = said
                self._noted[machine.name] = (
                    said if self._prefers_stored else Host(said.name, said.room, said.free, said.idle_since)
                )
        return list(self._noted.values())


class Fifo:
    """One queue, the oldest first, by any host that can take it at this moment: it knows that better than is possible.

    Inside the host it has our agent's rules: a warm instance, a free place, the least recently used.
    """

    def __init__(self, *, seed: int) -> None:
        self._rng = random.Random(seed)

    def place(self, world: World, model: Model) -> Machine | None:
        """Any host at random that can take it."""
        if len(world.waiting) > 1 and next(iter(world.waiting.values())).request.model is not model:
            return None
        return self.place_kept(world, model)

    def place_kept(self, world: World, model: Model) -> Machine | None:
        """Likewise."""
        there = world.serving.get(model.version, {})
        for machine in self._order(world):
            if machine.name in there and machine.warm(model) is not None:
                return machine
            if machine.may_open(model) and machine.opening(model) is not None:
                return machine
        return None

    def next_run(self, world: World, machine: Machine) -> Job | None:
        """The oldest."""
        return next(iter(world.waiting.values()), None)

    def _order(self, world: World) -> list[Machine]:
        first = self._rng.randrange(len(world.machines))
        return world.machines[first:] + world.machines[:first]


class LeastLoaded(Fifo):
    """As FIFO, on the host with the fewest runs at this moment."""

    def _order(self, world: World) -> list[Machine]:
        return sorted(super()._order(world), key=Machine.load)


class WarmFirst(LeastLoaded):
    """As least-loaded, but a host on which the model is warm and has room comes before all others."""

    def place(self, world: World, model: Model) -> Machine | None:
        """A warm one at once, whoever waits; else in turn."""
        there = [world.named[name] for name in world.serving.get(model.version, ())]
        warm = next((one for one in there if one.warm(model) is not None), None)
        return warm or super().place(world, model)


POLICIES: dict[str, Callable[[int], Turnpike | Fifo]] = {
    "turnpike": lambda seed: Turnpike(seed=seed),
    "fifo": lambda seed: Fifo(seed=seed),
    "least-loaded": lambda seed: LeastLoaded(seed=seed),
    "warm-first": lambda seed: WarmFirst(seed=seed),
}
ABLATIONS: dict[str, Callable[[int], Turnpike | Fifo]] = {
    "turnpike": lambda seed: Turnpike(seed=seed),
    "never waits for a busy instance": lambda seed: Turnpike(seed=seed, waits=False),
    "blind to images": lambda seed: Turnpike(seed=seed, prefers_stored=False),
}
