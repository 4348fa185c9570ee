"""The simulated world: a clock, endpoints that queue, refuse, hang and slow down, and requests that fail over.

A request is sent to one endpoint at a time, to four at most. Nothing is random but by the seed of the run: the
noise of a call depends on the request, the endpoint and nothing else, so that policies meet the same luck.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.routing.fleet import Truth
from benchmarks.routing.scenarios import COLD, FAST, HANG, LIMIT, PRICE, SLOW, Scenario
from benchmarks.routing.workload import BLOCK, Request

ATTEMPTS = 4
WHOLE = 30.0  # seconds after which even the last attempt is given up
CACHE_SECONDS = 600.0
FAST_KINDS = {FAST, HANG, COLD}
QUEUE = 2  # requests that may wait for each slot before the endpoint answers 429


class Policy(Protocol):
    """What a run is routed by."""

    def hold(self, job: Job, left: list[int], now: float) -> float:
        """Seconds to wait before choosing at all."""

    def choose(self, job: Job, left: list[int], now: float) -> int:
        """One of the endpoints that are left."""

    def pause(self, index: int, now: float) -> float:
        """Seconds to wait before the call goes out."""

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        """A call goes there; answers how many seconds to wait for its first token."""

    def first(self, job: Job, index: int, now: float) -> None:
        """The first token came."""

    def ended(self, job: Job, index: int, now: float) -> None:
        """The answer is whole."""

    def failed(self, job: Job, index: int, kind: str, retry_after: float | None, now: float) -> None:
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


@dataclass(slots=True, eq=False)
class Call:
    """One attempt at an endpoint."""

    job: Job
    began: float
    is_over: bool = False
    holds_slot: bool = False


class Endpoint:
    """One simulated endpoint."""

    def __init__(self, truth: Truth, index: int) -> None:
        self.truth = truth
        self.index = index
        self.busy = 0
        self.queue: deque[Call] = deque()
        self.ends: dict[int, float] = {}
        self.states: dict[str, float] = {}
        self.tokens = 1.0
        self.filled_at = 0.0
        self.warm_at = 0.0
        self.prompts: dict[int, float] = {}

    @property
    def price_factor(self) -> float:
        """What a change of prices multiplies them by."""
        return self.states.get(PRICE, 1.0)

    @property
    def slowness(self) -> float:
        """What a brownout multiplies times by."""
        return self.states.get(SLOW, 1.0)

    def limit(self) -> float | None:
        """Requests a second that it takes; a tightening also strikes what had no limit."""
        base = self.truth.limit
        if LIMIT in self.states:
            seconds = self.truth.ttft + 2.0
            base = (base if base is not None else self.truth.slots / seconds) * self.states[LIMIT]
        return base

    def takes_one(self, now: float) -> bool:
        """Whether the rate limit lets a request through; it is counted."""
        limit = self.limit()
        if limit is None:
            return True
        self.tokens = min(max(1.0, limit), self.tokens + (now - self.filled_at) * limit)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def would_take(self, now: float) -> bool:
        """The same without counting."""
        limit = self.limit()
        return limit is None or min(max(1.0, limit), self.tokens + (now - self.filled_at) * limit) >= 1

    def wait(self, now: float) -> float:
        """Seconds until one more request would start, by the calls that run and those that wait."""
        if self.busy < self.truth.slots:
            return 0.0
        ends = sorted(self.ends.values())
        ahead = len(self.queue)
        laps, place = divmod(ahead, len(ends))
        typical = (ends[-1] - now) / 2
        return max(0.0, ends[place] - now + laps * typical)

    def cached(self, request: Request, now: float) -> int:
        """Tokens of the prompt that it has cached."""
        if self.truth.cached is None:
            return 0
        count = 0
        for block in request.blocks:
            if self.prompts.get(block, -1e9) < now - CACHE_SECONDS:
                break
            count += 1
        return min(count * BLOCK, request.tokens)

    def price(self, request: Request, cached: int) -> float:
        """Dollars for a whole answer."""
        truth = self.truth
        fresh = request.tokens - cached
        dollars = fresh * truth.prompt + cached * (truth.cached or 0.0) + request.output * truth.completion
        return dollars * self.price_factor / 1e6


class World:
    """One run of a policy."""

    def __init__(
        self, *, fleet: list[Truth], scenario: Scenario, requests: list[Request], policy: Policy, seed: int
    ) -> None:
        self.endpoints = [Endpoint(truth, i) for i, truth in enumerate(fleet)]
        self.policy = policy
        self.jobs = [Job(i, request) for i, request in enumerate(requests)]
        self.now = 0.0
        self.seed = seed
        self.sent: list[tuple[float, int]] = []
        self.cuts: list[tuple[float, int, float]] = []  # when, where, and when the call had begun
        self.answers: list[tuple[float, int]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for fault in scenario.faults:
            self.later(fault.begin, lambda fault=fault: self._strike(fault.index, fault.kind, fault.amount, fault.end))
        for job in self.jobs:
            self.later(job.request.at, lambda job=job: self._attempt(job))

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

    def noise(self, job: Job, index: int) -> random.Random:
        """The luck of this request at this endpoint."""
        return random.Random(self.seed * 1_000_003 + job.number * 97 + index)

    def _strike(self, index: int, kind: str, amount: float, end: float) -> None:
        endpoint = self.endpoints[index]
        endpoint.states[kind] = amount
        if kind == COLD:
            endpoint.warm_at = end

        def over() -> None:
            endpoint.states.pop(kind, None)
            if kind in {HANG, COLD}:
                self._serve(endpoint)

        self.later(end, over)

    def _attempt(self, job: Job) -> None:
        left = [i for i in range(len(self.endpoints)) if i not in job.tried]
        if len(job.tried) >= ATTEMPTS or not left:
            self._give_up(job)
            return
        if (seconds := self.policy.hold(job, left, self.now)) > 0:
            self.later(self.now + seconds, lambda: self._attempt(job))
            return
        index = self.policy.choose(job, left, self.now)
        job.tried.append(index)
        pause = self.policy.pause(index, self.now)
        if pause > 0:
            self.later(self.now + pause, lambda: self._send(job, index))
        else:
            self._send(job, index)

    def _send(self, job: Job, index: int) -> None:
        left = [i for i in range(len(self.endpoints)) if i not in job.tried]
        if len(job.tried) >= ATTEMPTS:
            left = []
        patience = self.policy.begin(job, index, left, self.now)
        self.sent.append((self.now, index))
        call = Call(job, self.now)
        self._arrive(self.endpoints[index], call)
        self.later(self.now + min(patience, WHOLE), lambda: self._overdue(call, index))

    def _arrive(self, endpoint: Endpoint, call: Call) -> None:
        luck = self.noise(call.job, endpoint.index)
        if FAST in endpoint.states:
            self.later(self.now + 0.05, lambda: self._fail(call, endpoint, "unavailable", None))
        elif luck.random() < endpoint.truth.failures:
            self.later(self.now + 0.3, lambda: self._fail(call, endpoint, "unavailable", None))
        elif not endpoint.takes_one(self.now) or len(endpoint.queue) >= QUEUE * endpoint.truth.slots:
            self.later(self.now + 0.05, lambda: self._fail(call, endpoint, "rate_limited", 1.0))
        else:
            endpoint.queue.append(call)
            self._serve(endpoint)

    def _serve(self, endpoint: Endpoint) -> None:
        if HANG in endpoint.states or COLD in endpoint.states:
            return
        while endpoint.queue and endpoint.busy < endpoint.truth.slots:
            call = endpoint.queue.popleft()
            if call.is_over:
                continue
            self._start(endpoint, call)

    def _start(self, endpoint: Endpoint, call: Call) -> None:
        truth, job = endpoint.truth, call.job
        luck = self.noise(job, endpoint.index)
        luck.random()
        endpoint.busy += 1
        call.holds_slot = True
        cached = endpoint.cached(job.request, self.now)
        ttft = truth.ttft * luck.lognormvariate(0, truth.noise) + (job.request.tokens - cached) / truth.prefill
        ttft *= endpoint.slowness
        decode = job.request.output / truth.tps * (1 + (endpoint.slowness - 1) / 3)
        self.later(self.now + ttft, lambda: self._first(call, endpoint, cached))
        endpoint.ends[id(call)] = self.now + ttft + decode
        self.later(self.now + ttft + decode, lambda: self._end(call, endpoint))

    def _first(self, call: Call, endpoint: Endpoint, cached: int) -> None:
        job = call.job
        if call.is_over:
            return
        if HANG in endpoint.states:  # its first token is lost with the outage: the deadline ends it
            return
        job.ttft = self.now - job.request.at
        job.cached = cached
        job.index = endpoint.index
        job.dollars += endpoint.price(job.request, cached)
        for block in job.request.blocks:
            endpoint.prompts[block] = self.now
        self.answers.append((self.now, endpoint.index))
        self.policy.first(job, endpoint.index, self.now)

    def _end(self, call: Call, endpoint: Endpoint) -> None:
        self._release(call, endpoint)
        job = call.job
        if not call.is_over and job.index == endpoint.index:
            call.is_over = True
            job.seconds = self.now - job.request.at - (job.ttft or 0.0)
            self.policy.ended(job, endpoint.index, self.now)

    def _release(self, call: Call, endpoint: Endpoint) -> None:
        if call.holds_slot:
            call.holds_slot = False
            endpoint.ends.pop(id(call), None)
            endpoint.busy -= 1
            self._serve(endpoint)

    def _fail(self, call: Call, endpoint: Endpoint, kind: str, retry_after: float | None) -> None:
        if call.is_over:
            return
        call.is_over = True
        self.policy.failed(call.job, endpoint.index, kind, retry_after, self.now)
        self._attempt(call.job)

    def _overdue(self, call: Call, index: int) -> None:
        job, endpoint = call.job, self.endpoints[index]
        if call.is_over or job.index == index:
            return
        call.is_over = True
        if call.holds_slot:  # what it had read is paid for, and its place is free again
            waste = job.request.tokens * endpoint.truth.prompt * endpoint.price_factor / 1e6
            job.wasted += waste
            job.dollars += waste
            self._release(call, endpoint)
        self.cuts.append((self.now, index, call.began))
        self.policy.failed(job, index, "timeout", None, self.now)
        self._attempt(job)

    def _give_up(self, job: Job) -> None:
        job.failed = True
        job.seconds = self.now - job.request.at
