"""How long one choice takes on this machine: among 20 endpoints that all have been used, at 20 requests a second.

CPU time of the thread, the clock's own half a microsecond included, so that a choice waits for nobody else's work. Yet
a busy machine stretches the slowest hundredth of anything, also in CPU time: caches are cold after others ran. So it
is measured in blocks, by turns with a fixed sum that takes about twice as long, and each figure is the median of the
blocks'.
"""

from __future__ import annotations

import gc
import random
import time
from statistics import median

from routing.selection.candidates import Candidate
from routing.selection.router import Router

BLOCKS = 5
ROUNDS = 10_000
SHARES = {"median": 0.5, "p95": 0.95, "p99": 0.99}
TEXT = frozenset({"text"})


def report(*, endpoints: int = 20) -> str:
    """The figures as lines."""
    blocks = [(figures(measured(endpoints=endpoints)), figures(yardstick())) for _ in range(BLOCKS)]
    choices, sums = [block[0] for block in blocks], [block[1] for block in blocks]
    return f"A choice among {endpoints} endpoints: {_told(choices)}\nA fixed sum of 800 numbers: {_told(sums)}"


def figures(times: list[float]) -> dict[str, float]:
    """The median and the late ones of some times."""
    times = sorted(times)
    return {name: times[int(len(times) * share)] for name, share in SHARES.items()}


def _told(blocks: list[dict[str, float]]) -> str:
    told = ", ".join(f"{median(block[name] for block in blocks):.1f} µs {name}" for name in SHARES)
    last = [block["p99"] for block in blocks]
    return f"{told} (p99 of {len(blocks)} blocks: {min(last):.1f} to {max(last):.1f})"


def yardstick(*, rounds: int = ROUNDS) -> list[float]:
    """Microseconds of CPU of a sum that is the same each time."""
    times = []
    gc.disable()
    for _ in range(rounds):
        begun, total = time.thread_time_ns(), 0.0
        for i in range(800):
            total += i * 1.0000001
        times.append((time.thread_time_ns() - begun) / 1_000)
    gc.enable()
    return times


def measured(*, endpoints: int = 20, rounds: int = ROUNDS) -> list[float]:
    """Microseconds of CPU that each choice took: others' load on the machine is not ours to measure."""
    router, rng, now, times = Router(), random.Random(1), 1.0, []
    offers = [
        Candidate(
            i, "bench/model", f"p{i}", f"P{i}", 10**6, None, TEXT, TEXT, frozenset(), "fp8",
            {"prompt": 200_000_000 + i * 10_000_000, "completion": 600_000_000},
        )
        for i in range(endpoints)
    ]  # fmt: skip
    for offer in offers:
        router.first(router.begin(offer.endpoint_id, tokens=1_000, now=now), now=now + 0.4)
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        now += 0.05
        draw = rng.random()
        demand = router.demand(model="bench/model", tokens=1_000, max_tokens=None, now=now)
        begun = time.thread_time_ns()
        choice = router.choose(offers, demand, now=now, draw=draw)
        times.append((time.thread_time_ns() - begun) / 1_000)
        ticket = router.begin(choice.candidate.endpoint_id, tokens=1_000, now=now)
        router.first(ticket, now=now + rng.uniform(0.2, 0.6))
        router.ended(ticket, now=now + 2, model="bench/model", output_tokens=100)
    gc.enable()
    return times
