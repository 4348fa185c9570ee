"""How long one choice takes on this machine: among 20 endpoints that all have been used, at 20 requests a second.

A busy machine stretches the slowest hundredth of anything, also in CPU time: caches are cold after others ran. What
it does to a fixed sum that takes about as long stands beside it.
"""

from __future__ import annotations

import gc
import random
import time

from routing.selection.candidates import Candidate
from routing.selection.router import Router

ROUNDS = 20_000
TEXT = frozenset({"text"})


def report(*, endpoints: int = 20) -> str:
    """The figures as a line."""
    choice, fixed = _figures(measured(endpoints=endpoints)), _figures(yardstick())
    return f"A choice among {endpoints} endpoints: {choice}\nA fixed sum of 800 numbers: {fixed}"


def _figures(times: list[float]) -> str:
    times = sorted(times)
    middle, late, last = (times[int(len(times) * share)] for share in (0.5, 0.95, 0.99))
    return f"{middle:.1f} µs median, {late:.1f} µs p95, {last:.1f} µs p99"


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
