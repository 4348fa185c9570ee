"""What stands at the other end of a call: simulated endpoints that queue, refuse, hang and slow down.

They know no clock but the one they are given, so that the discrete-event simulation (`world`) and the HTTP servers of
`wire.servers` are the same endpoints. Nothing is random but by the seed of the run: the noise of a call depends on
the request, the endpoint and nothing else, so that policies meet the same luck.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from benchmarks.routing.fleet import Truth
from benchmarks.routing.scenarios import COLD, FAST, HANG, LIMIT, PRICE, SLOW, Fault, Scenario
from benchmarks.routing.workload import BLOCK, Request
from routing.canonical import UpstreamKind

CACHE_SECONDS = 600.0
QUEUE = 2  # requests that may wait for each slot before the endpoint answers 429


class Clock(Protocol):
    """Seconds since the run began, and what is to happen later."""

    @property
    def now(self) -> float:
        """The time."""

    def later(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""


class Caller(Protocol):
    """Who is told what becomes of a call. A call that was dropped is told of no more."""

    def refused(self, call: Call, kind: UpstreamKind, retry_after: float | None) -> None:
        """It is not served: unavailable or rate_limited."""

    def first(self, call: Call) -> None:
        """Its first token comes."""

    def ended(self, call: Call) -> None:
        """Its answer is whole."""


@dataclass(slots=True, eq=False)
class Call:
    """One request at one endpoint: `number` is the request's, `cached` the tokens of its prompt that it found there."""

    caller: Caller
    number: int
    request: Request
    index: int
    began: float
    cached: int = 0
    is_over: bool = False
    holds_slot: bool = False
    has_begun: bool = False  # its first token has gone out


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


class Providers:
    """The endpoints of a run, and what befalls them."""

    def __init__(self, *, fleet: Sequence[Truth], scenario: Scenario, seed: int, clock: Clock) -> None:
        self.endpoints = [Endpoint(truth, i) for i, truth in enumerate(fleet)]
        self.seed = seed
        self.clock = clock
        for fault in scenario.faults:
            clock.later(fault.begin, partial(self._strike, fault))

    def noise(self, number: int, index: int) -> random.Random:
        """The luck of this request at this endpoint."""
        return random.Random(self.seed * 1_000_003 + number * 97 + index)

    def arrive(self, call: Call) -> bool:
        """A call comes; whether it is taken. Its caller is told what becomes of it."""
        now, endpoint = self.clock.now, self.endpoints[call.index]
        luck = self.noise(call.number, call.index)
        if FAST in endpoint.states:
            self.clock.later(now + 0.05, lambda: self._refuse(call, "unavailable", None))
        elif luck.random() < endpoint.truth.failures:
            self.clock.later(now + 0.3, lambda: self._refuse(call, "unavailable", None))
        elif not endpoint.takes_one(now) or len(endpoint.queue) >= QUEUE * endpoint.truth.slots:
            self.clock.later(now + 0.05, lambda: self._refuse(call, "rate_limited", 1.0))
        else:
            endpoint.queue.append(call)
            self._serve(endpoint)
            return True
        return False

    def drop(self, call: Call) -> float:
        """Its caller waits no more; answers the dollars that it costs all the same: what had been read is paid for."""
        call.is_over = True
        if not call.holds_slot:
            return 0.0
        endpoint = self.endpoints[call.index]
        self._release(call, endpoint)
        return call.request.tokens * endpoint.truth.prompt * endpoint.price_factor / 1e6

    def _strike(self, fault: Fault) -> None:
        endpoint = self.endpoints[fault.index]
        endpoint.states[fault.kind] = fault.amount
        if fault.kind == COLD:
            endpoint.warm_at = fault.end

        def over() -> None:
            endpoint.states.pop(fault.kind, None)
            if fault.kind in {HANG, COLD}:
                self._serve(endpoint)

        self.clock.later(fault.end, over)

    def _serve(self, endpoint: Endpoint) -> None:
        if HANG in endpoint.states or COLD in endpoint.states:
            return
        while endpoint.queue and endpoint.busy < endpoint.truth.slots:
            call = endpoint.queue.popleft()
            if call.is_over:
                continue
            self._start(endpoint, call)

    def _start(self, endpoint: Endpoint, call: Call) -> None:
        truth, request, now = endpoint.truth, call.request, self.clock.now
        luck = self.noise(call.number, call.index)
        luck.random()
        endpoint.busy += 1
        call.holds_slot = True
        call.cached = endpoint.cached(request, now)
        ttft = truth.ttft * luck.lognormvariate(0, truth.noise) + (request.tokens - call.cached) / truth.prefill
        ttft *= endpoint.slowness
        decode = request.output / truth.tps * (1 + (endpoint.slowness - 1) / 3)
        self.clock.later(now + ttft, lambda: self._first(call, endpoint))
        endpoint.ends[id(call)] = now + ttft + decode
        self.clock.later(now + ttft + decode, lambda: self._end(call, endpoint))

    def _first(self, call: Call, endpoint: Endpoint) -> None:
        if call.is_over:
            return
        if HANG in endpoint.states:  # its first token is lost with the outage: the deadline ends it
            return
        call.has_begun = True
        for block in call.request.blocks:
            endpoint.prompts[block] = self.clock.now
        call.caller.first(call)

    def _end(self, call: Call, endpoint: Endpoint) -> None:
        self._release(call, endpoint)
        if not call.is_over and call.has_begun:
            call.is_over = True
            call.caller.ended(call)

    def _release(self, call: Call, endpoint: Endpoint) -> None:
        if call.holds_slot:
            call.holds_slot = False
            endpoint.ends.pop(id(call), None)
            endpoint.busy -= 1
            self._serve(endpoint)

    def _refuse(self, call: Call, kind: UpstreamKind, retry_after: float | None) -> None:
        if call.is_over:
            return
        call.is_over = True
        call.caller.refused(call, kind, retry_after)
