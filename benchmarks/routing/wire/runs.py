"""The runs: each scenario, repeat by repeat, over HTTP and in the simulation, with equal fleets, requests and luck."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings

from benchmarks.routing import fleet, scenarios, workload
from benchmarks.routing.baselines import BASELINES, Baseline
from benchmarks.routing.fleet import Truth
from benchmarks.routing.measures import Measures, measure
from benchmarks.routing.ours import Ours
from benchmarks.routing.scenarios import Scenario
from benchmarks.routing.wire import clock, servers
from benchmarks.routing.wire.gateway import GatewayLane
from benchmarks.routing.wire.lanes import Lane, PolicyLane, connect
from benchmarks.routing.wire.servers import Process
from benchmarks.routing.workload import Request
from benchmarks.routing.world import World

OURS = "turnpike"
ENDPOINTS = 6
HEAD_START = 0.3  # real seconds between the word and the first request
# A run in which the machine had no time for us is none: it is made again where not 95 of 100 things (requests to be
# sent, endpoints' own doings) were done within so many of the run's seconds after they were due. The other five are
# those of bursts, in which a hundred requests are to go out in the same moment.
LATE_MOST = 0.1
LATE_SHARE = 0.95
WARM_UP = 60  # requests that are sent before anything counts

Key = tuple[str, str]  # scenario, policy


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run."""

    seed: int
    requests: int
    rate: float
    trace: str
    repeats: int
    tries: int  # of a repeat that the machine has no time for
    times: float
    scenarios: tuple[str, ...]
    policies: tuple[str, ...]
    early: bool


@dataclass(slots=True)
class Found:
    """The measures, repeat by repeat, and how late all was, in seconds of the runs."""

    sent: dict[Key, list[Measures]] = field(default_factory=dict)
    simulated: dict[Key, list[Measures]] = field(default_factory=dict)
    client_lags: list[float] = field(default_factory=list)
    server_lags: list[float] = field(default_factory=list)
    again: int = 0  # runs that were made again
    late: list[tuple[str, int]] = field(default_factory=list)  # scenarios and repeats kept though late each time


@dataclass(frozen=True, slots=True)
class Sent:
    """One run over HTTP, policy by policy."""

    measures: Sequence[Measures]
    client_lags: list[float]
    server_lags: list[float]

    @property
    def lateness(self) -> float:
        """Seconds of the run within which 95 of 100 things were done."""
        return max(_percentile(self.client_lags, LATE_SHARE), _percentile(self.server_lags, LATE_SHARE))


@dataclass(frozen=True, slots=True)
class Setting:
    """What all policies meet in one run."""

    fleet: list[Truth]
    scenario: Scenario
    requests: list[Request]
    luck: int


def collect(plan: Plan) -> Found:
    """Run everything, or until interrupted. The process's clock is to be hurried already, as the plan says."""
    found = Found()
    with servers.started(ENDPOINTS) as process, contextlib.suppress(KeyboardInterrupt):
        settings.PRIVATE_ORIGINS = frozenset(f"127.0.0.1:{port}" for port in process.ports)
        clock.run(_run_all(plan, process, found), times=plan.times)
    return found


async def _run_all(plan: Plan, process: Process, found: Found) -> None:
    rng = random.Random(plan.seed)
    requests = workload.sample(name=plan.trace, count=plan.requests, rate=plan.rate, rng=rng)
    tokens = statistics.fmean(one.tokens for one in requests)
    output = statistics.fmean(one.output for one in requests)
    truths = fleet.draw(rng, rate=workload.busiest(requests), tokens=tokens, output=output, count=ENDPOINTS)
    await connect(process.ports)
    healthy = scenarios.make("healthy", truths, seconds=requests[-1].at, rng=random.Random(plan.seed))
    await _send(plan, Setting(truths, healthy, requests[:WARM_UP], plan.seed), process)
    for repeat in range(plan.repeats):
        for name in plan.scenarios:
            chance = random.Random(f"{plan.seed}:{name}")
            scenario = scenarios.make(name, truths, seconds=requests[-1].at, rng=chance)
            setting = Setting(truths, scenario, requests, plan.seed * 1_000 + repeat)
            sent = await _send_in_time(plan, setting, process, found)
            for policy, measures in zip(plan.policies, sent.measures, strict=True):
                found.sent.setdefault((name, policy), []).append(measures)
                found.simulated.setdefault((name, policy), []).append(_simulate(setting, policy))
            if sent.lateness > LATE_MOST:
                found.late.append((name, repeat))
            found.client_lags += sent.client_lags
            found.server_lags += sent.server_lags
            print(f"{name}, {repeat + 1} of {plan.repeats}: {sent.lateness:.3f} s late", file=sys.stderr, flush=True)


async def _send_in_time(plan: Plan, setting: Setting, process: Process, found: Found) -> Sent:
    """A run that the machine had time for, or the least late of a few."""
    tries = []
    for _ in range(plan.tries):
        tries.append(await _send(plan, setting, process))
        if tries[-1].lateness <= LATE_MOST:
            break
    found.again += len(tries) - 1
    return min(tries, key=lambda one: one.lateness)


def _simulate(setting: Setting, name: str) -> Measures:
    policy = _policy(name, setting.luck)
    world = World(
        fleet=setting.fleet, scenario=setting.scenario, requests=setting.requests, policy=policy, seed=setting.luck
    )
    policy.world = world
    return measure(world.run(), world, setting.scenario)


async def _send(plan: Plan, setting: Setting, process: Process) -> Sent:
    """All policies side by side, each in a lane of its own."""
    lanes = [_lane(i, name, setting, process) for i, name in enumerate(plan.policies)]
    begin = clock.REAL() + HEAD_START
    process.begin(
        servers.Run(
            begin=begin, times=plan.times, fleet=setting.fleet, scenario=setting.scenario, seed=setting.luck,
            lanes=len(lanes), early=plan.early,
        )
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        for lane in lanes:
            tasks.create_task(lane.run(begin=begin * plan.times))
    bill = process.end()
    for lane, wasted in zip(lanes, bill.wasted, strict=True):
        for number, dollars in wasted.items():
            lane.jobs[number].wasted += dollars
            lane.jobs[number].dollars += dollars
    return Sent(
        [measure(lane.jobs, lane, setting.scenario) for lane in lanes],
        [seconds for lane in lanes for seconds in lane.lags],
        [seconds * plan.times for seconds in bill.lags],
    )


def _percentile(numbers: list[float], share: float) -> float:
    return sorted(numbers)[int(len(numbers) * share)] if numbers else 0.0


def _lane(number: int, name: str, setting: Setting, process: Process) -> Lane:
    fleet, scenario, requests = setting.fleet, setting.scenario, setting.requests
    if name == OURS:
        return GatewayLane(
            number, fleet=fleet, scenario=scenario, requests=requests, ports=process.ports, seed=setting.luck
        )
    policy = BASELINES[name](seed=setting.luck)
    lane = PolicyLane(number, policy=policy, fleet=fleet, scenario=scenario, requests=requests, ports=process.ports)
    policy.world = lane
    return lane


def _policy(name: str, luck: int) -> Ours | Baseline:
    return Ours(seed=luck) if name == OURS else BASELINES[name](seed=luck)
