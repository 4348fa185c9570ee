"""The production router under the simulation's clock: routing.selection.router.Router, injected unchanged."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.routing.providers import Endpoint
from benchmarks.routing.workload import BLOCK
from benchmarks.routing.world import ATTEMPTS, WHOLE, Job, Seen
from routing.canonical import UpstreamError, UpstreamKind
from routing.selection.candidates import Candidate
from routing.selection.choice import draw_of
from routing.selection.cost import BALANCED, Demand, Weights
from routing.selection.prefixes import DIGEST_BYTES, UNSEEN, Prefixes, distances
from routing.selection.router import Policy, Router
from routing.selection.standing import LOOK
from routing.selection.ticket import Ticket

MODEL = "bench/model"
BYTES = 4 * BLOCK  # of a block
TEXT = frozenset({"text"})


class Ours:
    """Turnpike's router."""

    def __init__(self, *, seed: int, policy: Policy | None = None, weights: Weights = BALANCED) -> None:
        self.router = Router(policy=policy)
        self.weights = weights
        self.seed = seed
        self.world: Seen | None = None
        self._arrived: set[int] = set()
        self._tickets: dict[int, Ticket] = {}
        self._patience: dict[int, float] = {}
        self._candidates: list[Candidate] = []
        self._factors: list[float] = []

    def hold(self, job: Job, left: list[int], now: float) -> float | None:
        candidates = self._offers()
        return self.router.hold(
            [candidates[i] for i in left], tokens=job.request.tokens, waited=now - job.request.at, now=now,
            was_refused=bool(job.tried),
        )  # fmt: skip

    def choose(self, job: Job, left: list[int], now: float) -> int:
        is_new = job.number not in self._arrived
        if is_new:
            self._arrived.add(job.number)
            self.router.arrived(now=now)
        candidates = self._offers()
        demand = replace(self._demand(job, now), waited=now - job.request.at)
        seed = f"{self.seed}:{job.number}:{len(job.tried)}"
        choice = self.router.choose([candidates[i] for i in left], demand, now=now, draw=draw_of(seed), explores=is_new)
        return left[choice.chosen]

    def pause(self, index: int, now: float) -> float:
        return self.router.reserve(index, now=now)

    def keeps_turn(self, index: int, left: list[int], now: float) -> bool:
        candidates = self._offers()
        return self.router.keeps_turn(index, [candidates[i] for i in left], now=now)

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        ticket = self._tickets[job.number] = self.router.begin(
            index, tokens=job.request.tokens, now=now, is_reserved=True
        )
        candidates = self._offers()
        is_last = not self.router.has_well_one([candidates[i] for i in left], now=now)
        patience = self.router.patience(ticket, whole=WHOLE, is_last=is_last)
        self._patience[job.number] = patience
        return min(LOOK, patience)

    def wait_on(self, job: Job, index: int, left: list[int], now: float) -> float:
        others = [self._offers()[i] for i in left]
        return self.router.wait_on(
            self._tickets[job.number], others, patience=self._patience[job.number], whole=WHOLE, now=now
        )

    def first(self, job: Job, index: int, now: float) -> None:
        self.router.first(self._tickets[job.number], now=now)

    def ended(self, job: Job, index: int, now: float) -> None:
        ticket = self._tickets.pop(job.number)
        self.router.ended(ticket, now=now, model=MODEL, output_tokens=job.request.output)
        if job.request.blocks:
            self.router.answered(
                prompt_of(job), candidate=self._offers()[index], tokens=job.request.tokens, cached_tokens=job.cached,
                now=now,
            )  # fmt: skip

    def failed(self, job: Job, index: int, kind: UpstreamKind, retry_after: float | None, now: float) -> None:
        error = UpstreamError("", kind=kind, retryable=True, retry_after=retry_after)
        chance = draw_of(f"{self.seed}:{job.number}:{index}:again")
        was_cut = kind == "timeout" and now - self._tickets[job.number].began < WHOLE
        self.router.failed(self._tickets.pop(job.number), error, now=now, chance=chance, was_cut=was_cut)
        if len(job.tried) < ATTEMPTS and kind != "rate_limited" and not self.router.retries.take(now=now):
            job.tried += [-1] * ATTEMPTS  # the retry budget is spent

    def _demand(self, job: Job, now: float) -> Demand:
        return self.router.demand(
            model=MODEL, tokens=job.request.tokens, max_tokens=None, weights=self.weights, now=now,
            prompt=prompt_of(job),
        )  # fmt: skip

    def _offers(self) -> list[Candidate]:
        """The endpoints with today's prices, as the catalogue gives them."""
        assert self.world is not None
        factors = [one.price_factor for one in self.world.endpoints]
        if factors != self._factors:
            self._factors = factors
            self._candidates = [
                candidate_of(one, factor) for one, factor in zip(self.world.endpoints, factors, strict=True)
            ]
        return self._candidates


def candidate_of(endpoint: Endpoint, factor: float) -> Candidate:
    """The endpoint as the catalogue shows it, its prices multiplied by `factor`."""
    truth, index = endpoint.truth, endpoint.index
    prices = {"prompt": round(truth.prompt * factor * 1e9), "completion": round(truth.completion * factor * 1e9)}
    if truth.cached is not None:
        prices["cached_read"] = round(truth.cached * factor * 1e9)
    return Candidate(index, MODEL, str(index), str(index), 10**7, None, TEXT, TEXT, frozenset(), "fp8", prices)


def prompt_of(job: Job) -> Prefixes:
    """What the prompt begins with, in the trace's blocks, noted at the distances at which words are."""
    blocks, tokens = job.request.blocks, job.request.tokens
    if not blocks:
        return UNSEEN
    places = [one // BYTES for one in distances(len(blocks) * BYTES) if one >= BYTES]
    counts = sorted({*places, len(blocks) - 1, len(blocks)} - {0})
    keys = tuple(blocks[count - 1].to_bytes(DIGEST_BYTES, "big") for count in counts)
    return Prefixes(keys, tuple(min(1.0, count * BLOCK / tokens) for count in counts))
