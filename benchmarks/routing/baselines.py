"""What others do, written anew from their documentation, and an oracle that sees the truth.

All baselines move on after a failure to what their rule prefers among the rest, wait five seconds for a first
token (the last attempt longer, as ours), and rest an endpoint as LiteLLM documents it: five seconds after a 429,
or when more than half of at least five calls in this minute failed. P2C and fixed order rest one after five
failures in a row instead, as Finagle and Envoy do, for 5 s doubling to 300 s.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

from benchmarks.routing.measures import GENERATION, LATE, SLO_SECONDS, WAIT
from benchmarks.routing.providers import Endpoint
from benchmarks.routing.scenarios import COLD, FAST, HANG
from benchmarks.routing.world import WHOLE, Job, Seen

PATIENCE = 5.0
REST = 5.0
WINDOW = 30.0
LATENESS = 1.0  # seconds after which the late oracle hears of a fault
OUT = {FAST, HANG, COLD}
SIGHT = 2.0  # and those that it waits for a first token


class Rest(Protocol):
    """When an endpoint is left alone for a while."""

    def failed(self, index: int, kind: str, now: float) -> None:
        """A call failed."""

    def good(self, index: int, now: float) -> None:
        """A call was answered."""

    def is_resting(self, index: int, now: float) -> bool:
        """Whether it is left alone."""


class Cooldown:
    """LiteLLM's."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._counts: dict[int, tuple[int, int, int]] = {}

    def failed(self, index: int, kind: str, now: float) -> None:
        calls, failures = self._count(index, now, 1)
        if kind == "rate_limited" or (calls >= 5 and failures > calls / 2):
            self._until[index] = now + REST

    def good(self, index: int, now: float) -> None:
        self._count(index, now, 0)

    def is_resting(self, index: int, now: float) -> bool:
        return now < self._until.get(index, 0.0)

    def _count(self, index: int, now: float, failed: int) -> tuple[int, int]:
        minute, calls, failures = self._counts.get(index, (0, 0, 0))
        if minute != int(now / 60):
            calls = failures = 0
        self._counts[index] = (int(now / 60), calls + 1, failures + failed)
        return calls + 1, failures + failed


class Accrual:
    """Finagle's failure accrual: five in a row."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._until: dict[int, float] = {}
        self._times: dict[int, int] = {}

    def failed(self, index: int, kind: str, now: float) -> None:
        self._row[index] = self._row.get(index, 0) + 1
        if self._row[index] >= 5 and now >= self._until.get(index, 0.0):
            times = self._times.get(index, 0)
            self._until[index] = now + min(5.0 * 2.0**times, 300.0)
            self._times[index] = times + 1

    def good(self, index: int, now: float) -> None:
        self._row[index] = self._times[index] = 0

    def is_resting(self, index: int, now: float) -> bool:
        return now < self._until.get(index, 0.0)


class Baseline(ABC):
    """What all of them share; each says which of the endpoints it wants."""

    def __init__(self, *, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rest: Rest = Cooldown()
        self.world: Seen | None = None
        self.in_flight: dict[int, int] = {}
        self._began: dict[int, float] = {}

    @property
    def endpoints(self) -> list[Endpoint]:
        """The world's; a baseline reads prices and weights off them, nothing else."""
        assert self.world is not None
        return self.world.endpoints

    @abstractmethod
    def pick(self, job: Job, left: list[int], now: float) -> int:
        """Its rule."""

    def hold(self, job: Job, left: list[int], now: float) -> float:
        return 0.0

    def choose(self, job: Job, left: list[int], now: float) -> int:
        awake = [i for i in left if not self.rest.is_resting(i, now)]
        return self.pick(job, awake or left, now)

    def pause(self, index: int, now: float) -> float:
        return 0.0

    def keeps_turn(self, index: int, left: list[int], now: float) -> bool:
        return True

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        self.in_flight[index] = self.in_flight.get(index, 0) + 1
        self._began[job.number] = now
        return PATIENCE if left else WHOLE

    def wait_on(self, job: Job, index: int, left: list[int], now: float) -> float:
        return 0.0

    def first(self, job: Job, index: int, now: float) -> None:
        self.rest.good(index, now)
        self.seen(index, now - self._began[job.number], now)

    def seen(self, index: int, seconds: float, now: float) -> None:  # noqa: B027  (a rule that learns nothing from times keeps this)
        """A time to the first token."""

    def ended(self, job: Job, index: int, now: float) -> None:
        self.in_flight[index] -= 1

    def failed(self, job: Job, index: int, kind: str, retry_after: float | None, now: float) -> None:
        self.in_flight[index] -= 1
        self.rest.failed(index, kind, now)

    def dollars(self, job: Job, index: int) -> float:
        """What the list price of this request is there."""
        return self.endpoints[index].price(job.request, 0)


class Uniform(Baseline):
    """At random."""

    def pick(self, job: Job, left: list[int], now: float) -> int:
        return self.rng.choice(left)


class Weighted(Baseline):
    """At random by capacity, which the operator knows."""

    def pick(self, job: Job, left: list[int], now: float) -> int:
        return self.rng.choices(left, [self.endpoints[i].truth.slots for i in left])[0]


class LeastBusy(Baseline):
    """The fewest calls under way."""

    def pick(self, job: Job, left: list[int], now: float) -> int:
        return min(left, key=lambda i: (self.in_flight.get(i, 0), self.rng.random()))


class LatencyOfTen(Baseline):
    """The lowest mean of the last ten first-token times; what was never used comes first, a timeout counts 1,000 s."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._last: dict[int, deque[float]] = {}

    def pick(self, job: Job, left: list[int], now: float) -> int:
        def mean(index: int) -> float:
            last = self._last.get(index)
            return sum(last) / len(last) if last else 0.0

        return min(left, key=lambda i: (mean(i), self.rng.random()))

    def seen(self, index: int, seconds: float, now: float) -> None:
        self._last.setdefault(index, deque(maxlen=10)).append(seconds)

    def failed(self, job: Job, index: int, kind: str, retry_after: float | None, now: float) -> None:
        super().failed(job, index, kind, retry_after, now)
        if kind == "timeout":
            self.seen(index, 1_000.0, now)


class Usage(Baseline):
    """The fewest tokens in this minute."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._used: dict[tuple[int, int], int] = {}

    def pick(self, job: Job, left: list[int], now: float) -> int:
        minute = int(now / 60)
        index = min(left, key=lambda i: (self._used.get((i, minute), 0), self.rng.random()))
        used = self._used.get((index, minute), 0)
        self._used[index, minute] = used + job.request.tokens + job.request.output
        return index


class LowestPrice(Baseline):
    """The lowest price of input and output together."""

    def pick(self, job: Job, left: list[int], now: float) -> int:
        def price(index: int) -> float:
            endpoint = self.endpoints[index]
            return (endpoint.truth.prompt + endpoint.truth.completion) * endpoint.price_factor

        return min(left, key=lambda i: (price(i), i))


class InverseSquare(Baseline):
    """Among those without an outage in the last 30 s, at random by one over the square of the price."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._calls: dict[int, deque[tuple[float, bool]]] = {}

    def pick(self, job: Job, left: list[int], now: float) -> int:
        stable = [i for i in left if not self._is_out(i, now)] or left
        return self.rng.choices(stable, [self.dollars(job, i) ** -2 for i in stable])[0]

    def first(self, job: Job, index: int, now: float) -> None:
        super().first(job, index, now)
        self._calls.setdefault(index, deque()).append((now, False))

    def failed(self, job: Job, index: int, kind: str, retry_after: float | None, now: float) -> None:
        super().failed(job, index, kind, retry_after, now)
        self._calls.setdefault(index, deque()).append((now, True))

    def _is_out(self, index: int, now: float) -> bool:
        calls = self._calls.get(index)
        if not calls:
            return False
        while calls and calls[0][0] < now - WINDOW:
            calls.popleft()
        return sum(failed for _, failed in calls) > 0.1 * len(calls)


class FixedOrder(Baseline):
    """The cheapest first, as an operator would write it down at the start, then down the list."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.rest = Accrual()

    def pick(self, job: Job, left: list[int], now: float) -> int:
        return min(left, key=lambda i: (self.endpoints[i].truth.prompt + self.endpoints[i].truth.completion, i))


class TwoChoices(Baseline):
    """Of two at random the one with fewer calls under way."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.rest = Accrual()

    def pick(self, job: Job, left: list[int], now: float) -> int:
        two = self.rng.sample(left, min(2, len(left)))
        return min(two, key=lambda i: self.load(i, now))

    def load(self, index: int, now: float) -> float:
        """How much it has to do."""
        return self.in_flight.get(index, 0)


class PeakEwma(TwoChoices):
    """Of two at random the one with the lower peak-sensitive mean latency times calls under way."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._mean: dict[int, tuple[float, float]] = {}

    def load(self, index: int, now: float) -> float:
        mean, at = self._mean.get(index, (0.0, now))
        mean *= math.exp(-(now - at) / 10.0)
        return (mean + 1e-3) * (self.in_flight.get(index, 0) + 1)

    def seen(self, index: int, seconds: float, now: float) -> None:
        mean, at = self._mean.get(index, (0.0, now))
        keep = math.exp(-(now - at) / 10.0)
        self._mean[index] = (seconds if seconds > mean else mean * keep + seconds * (1 - keep), now)

    def failed(self, job: Job, index: int, kind: str, retry_after: float | None, now: float) -> None:
        super().failed(job, index, kind, retry_after, now)
        if kind == "timeout":
            self.seen(index, PATIENCE, now)


class Oracle(Baseline):
    """Sees every endpoint's true state, not the luck of a call, and takes the least expected cost for each request."""

    def choose(self, job: Job, left: list[int], now: float) -> int:
        return self.pick(job, left, now)

    def pick(self, job: Job, left: list[int], now: float) -> int:
        return min(left, key=lambda i: (self._cost(job, self.endpoints[i], now), i))

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        super().begin(job, index, left, now)
        return WHOLE

    def _cost(self, job: Job, endpoint: Endpoint, now: float) -> float:
        truth, request = endpoint.truth, job.request
        queue = len(endpoint.queue)
        if endpoint.states.keys() & OUT or not endpoint.would_take(now) or queue >= 2 * truth.slots:
            return 1e15
        cached = endpoint.cached(request, now)
        slow = endpoint.slowness
        decode = request.output / truth.tps * (1 + (slow - 1) / 3)
        wait = endpoint.wait(now)
        reading = (request.tokens - cached) / truth.prefill * slow
        ttft = wait + reading + truth.ttft * slow * math.exp(truth.noise**2 / 2)
        room = (SLO_SECONDS - (now - request.at) - wait - reading) / (truth.ttft * slow)
        late = 1.0 if room <= 0 else 0.5 * math.erfc(math.log(room) / truth.noise / math.sqrt(2))
        odds = truth.failures / (1 - truth.failures)
        cost = endpoint.price(request, cached) * 1e9 + WAIT * ttft + LATE * late
        return cost + GENERATION * decode + odds * WAIT * 0.6


class LateOracle(Oracle):
    """The same, told of an outage or a slowness one second after it begins or ends; it waits two for a first token.

    What it loses is what not even an all-knowing policy can save that learns of a fault by what it does to a request.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._told: dict[int, list[tuple[float, dict[str, float]]]] = {}

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        super().begin(job, index, left, now)
        return SIGHT if left else WHOLE

    def _cost(self, job: Job, endpoint: Endpoint, now: float) -> float:
        told = self._told.setdefault(endpoint.index, [(-WHOLE, {})])
        if told[-1][1] != endpoint.states:
            told.append((now, dict(endpoint.states)))
        real, endpoint.states = endpoint.states, next(states for at, states in reversed(told) if at <= now - LATENESS)
        try:
            return super()._cost(job, endpoint, now)
        finally:
            endpoint.states = real


BASELINES: dict[str, type[Baseline]] = {
    "uniform": Uniform,
    "weighted": Weighted,
    "least-busy": LeastBusy,
    "latency-of-10": LatencyOfTen,
    "usage": Usage,
    "lowest-price": LowestPrice,
    "inverse-square": InverseSquare,
    "fixed-order": FixedOrder,
    "p2c": TwoChoices,
    "p2c-peak-ewma": PeakEwma,
}
