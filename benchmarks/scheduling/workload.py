"""Models and their requests, drawn from a seed: few are asked for often, most hardly ever, all in bursts."""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

GIB = 1024
SKEW = 0.9  # the exponent of Zipf's law over the models
BURST = 6  # requests in a burst as a rule
LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class Model:
    """Weights in GiB; `memory` in MiB of a GPU (0: all of it); seconds of a run as a rule and of a setup."""

    version: str
    tenant: str
    weights: float
    memory: int
    concurrency: int
    run_seconds: float
    setup_seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """One run: when it is asked for, of which model, how long it takes; `deployment` is "" for shared models."""

    at: float
    model: Model
    seconds: float
    deployment: str = ""


def models(rng: random.Random, *, count: int) -> list[Model]:
    """The catalogue, the most popular first. One publisher in three has several."""
    made = []
    for i in range(count):
        weights = min(70.0, rng.lognormvariate(1.8, 1.0))
        made.append(
            Model(
                version=f"v{i}",
                tenant=f"t{int(rng.random() ** 2 * count * 0.3)}",
                weights=weights,
                memory=int((weights * 1.2 + 2) * GIB) if rng.random() < 0.5 and weights < 30 else 0,
                concurrency=4 if rng.random() < 0.15 else 1,
                run_seconds=min(120.0, rng.lognormvariate(1.8, 1.0)),
                setup_seconds=rng.uniform(2.0, 15.0),
            )
        )
    return made


def requests(
    rng: random.Random, catalogue: list[Model], *, seconds: float, busy: float, deployments: int
) -> list[Request]:
    """What is asked for in so many seconds, so that `busy` GPUs run at one time on average; a tenth by deployments."""
    shares = list(accumulate(1 / (rank + 1) ** SKEW for rank in range(len(catalogue))))
    made: list[Request] = []
    work = 0.0
    while work < busy * seconds * 0.9:
        model = catalogue[bisect(shares, rng.random() * shares[-1])]
        work += _burst(rng, made, model, begin=rng.uniform(-60.0, seconds), seconds=seconds, deployment="")
    chosen = [rng.choice(catalogue[:2_000]) for _ in range(deployments)]
    while deployments and work < busy * seconds:
        number = rng.randrange(deployments)
        begin = rng.uniform(0, seconds)
        work += _burst(rng, made, chosen[number], begin=begin, seconds=seconds, deployment=f"d{number}")
    return sorted(made, key=lambda one: one.at)


def _burst(
    rng: random.Random, made: list[Request], model: Model, *, begin: float, seconds: float, deployment: str
) -> float:
    """One burst of requests for a model: some come a few seconds apart, some nearly at once. Its GPU seconds."""
    pause = rng.choice((0.05, 1.0, 5.0, 20.0))
    at, work = begin, 0.0
    for _ in range(min(200, 1 + int(rng.expovariate(1 / BURST) * rng.choice((0.3, 1.0, 3.0))))):
        if 0 <= at < seconds:
            run = min(LONGEST, model.run_seconds * rng.lognormvariate(0.0, 0.4))
            made.append(Request(at, model, run, deployment))
            work += run / model.concurrency
        at += rng.expovariate(1 / pause)
    return work
