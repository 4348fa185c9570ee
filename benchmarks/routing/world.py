"""The simulated world: a virtual clock, and requests that are sent, fail over, and end.

A request is sent to one endpoint at a time, to four at most.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from benchmarks.routing.fleet import Truth
from benchmarks.routing.providers import Call, Endpoint, Providers
from benchmarks.routing.scenarios import Scenario
from benchmarks.routing.workload import Request
from routing.canonical import UpstreamKind

ATTEMPTS = 4
WHOLE = 30.0  # seconds after which even the last attempt is given up


class Policy(Protocol):
    """What a run is routed by."""

    def hold(self, job: Job, left: list[int], now: float) -> float | None:
        """Seconds to wait before choosing at all; None: no endpoint has a place for it."""

    def choose(self, job: Job, left: list[int], now: float) -> int:
        """One of the endpoints that are left."""

    def pause(self, index: int, now: float) -> float:
        """Seconds to wait before the call goes out."""

    def keeps_turn(self, index: int, left: list[int], now: float) -> bool:
        """That time is over: whether the call still goes there."""

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        """A call goes there; answers how many seconds to wait for its first token."""

    def wait_on(self, job: Job, index: int, left: list[int], now: float) -> float:
        """That time is over: answers how many seconds more to wait, 0 to leave."""

    def first(self, job: Job, index: int, now: float) -> None:
        """The first token came."""

    def ended(self, job: Job, index: int, now: float) -> None:
        """The answer is whole."""

    def failed(self, job: Job, index: int, kind: UpstreamKind, retry_after: float | None, now: float) -> None:
        """The call failed: unavailable, rate_limited or timeout."""


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way, and what becomes of it."""

    number: int
    request: Request
    tried: list[int] = field(default_factory=list)
    ttft: float | None = None
    seconds: float = 0.0
    dollars: float = 0.0
    wasted: float = 0.0
    index: int = -1
    cached: int = 0
    failed: bool = False

    def left(self, count: int) -> list[int]:
        """The endpoints of so many that it may still be sent to."""
        return [] if len(self.tried) >= ATTEMPTS else [i for i in range(count) if i not in self.tried]


class Seen(Protocol):
    """What a world keeps of a run: when a call went where, was answered, and was given up."""

    endpoints: list[Endpoint]
    sent: list[tuple[float, int]]
    cuts: list[tuple[float, int, float]]  # when, where, and when the call had begun
    answers: list[tuple[float, int]]


class World:
    """One run of a policy."""

    def __init__(
        self, *, fleet: list[Truth], scenario: Scenario, requests: list[Request], policy: Policy, seed: int
    ) -> None:
        self.policy = policy
        self.jobs = [Job(i, request) for i, request in enumerate(requests)]
        self.now = 0.0
        self.sent: list[tuple[float, int]] = []
        self.cuts: list[tuple[float, int, float]] = []
        self.answers: list[tuple[float, int]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.providers = Providers(fleet=fleet, scenario=scenario, seed=seed, clock=self)
        self.endpoints = self.providers.endpoints
        for job in self.jobs:
            self.later(job.request.at, partial(self._attempt, job))

    def run(self) -> list[Job]:
        """The requests with what became of them."""
        heap = self._heap
        while heap:
            self.now, _, what = heapq.heappop(heap)
            what()
        return self.jobs

    def later(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def first(self, call: Call) -> None:
        """The first token of a call: the request is answered there."""
        job, endpoint = self.jobs[call.number], self.endpoints[call.index]
        job.ttft = self.now - job.request.at
        job.cached = call.cached
        job.index = call.index
        job.dollars += endpoint.price(job.request, call.cached)
        self.answers.append((self.now, call.index))
        self.policy.first(job, call.index, self.now)

    def ended(self, call: Call) -> None:
        """The whole answer."""
        job = self.jobs[call.number]
        job.seconds = self.now - job.request.at - (job.ttft or 0.0)
        self.policy.ended(job, call.index, self.now)

    def refused(self, call: Call, kind: UpstreamKind, retry_after: float | None) -> None:
        """A call failed: the request moves on."""
        job = self.jobs[call.number]
        self.policy.failed(job, call.index, kind, retry_after, self.now)
        self._attempt(job)

    def _attempt(self, job: Job) -> None:
        left = job.left(len(self.endpoints))
        if not left:
            self._give_up(job)
            return
        seconds = self.policy.hold(job, left, self.now)
        if seconds is None:
            self._give_up(job)
            return
        if seconds > 0:
            self.later(self.now + seconds, lambda: self._attempt(job))
            return
        index = self.policy.choose(job, left, self.now)
        job.tried.append(index)
        pause = self.policy.pause(index, self.now)
        if pause > 0:
            self.later(self.now + pause, lambda: self._turn(job, index))
        else:
            self._send(job, index)

    def _turn(self, job: Job, index: int) -> None:
        if self.policy.keeps_turn(index, job.left(len(self.endpoints)), self.now):
            self._send(job, index)
        else:
            job.tried.remove(index)
            self._attempt(job)

    def _send(self, job: Job, index: int) -> None:
        patience = self.policy.begin(job, index, job.left(len(self.endpoints)), self.now)
        self.sent.append((self.now, index))
        call = Call(self, job.number, job.request, index, self.now)
        self.providers.arrive(call)
        self.later(self.now + min(patience, WHOLE), lambda: self._overdue(call))

    def _overdue(self, call: Call) -> None:
        if call.is_over or call.has_begun:
            return
        job = self.jobs[call.number]
        more = self.policy.wait_on(job, call.index, job.left(len(self.endpoints)), self.now)
        if more > 0 and self.now + more <= call.began + WHOLE:
            self.later(self.now + more, lambda: self._overdue(call))
            return
        waste = self.providers.drop(call)
        job.wasted += waste
        job.dollars += waste
        self.cuts.append((self.now, call.index, call.began))
        self.policy.failed(job, call.index, "timeout", None, self.now)
        self._attempt(job)

    def _give_up(self, job: Job) -> None:
        job.failed = True
        job.seconds = self.now - job.request.at
