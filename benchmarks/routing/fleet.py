"""The endpoints of a run, drawn at random from a published prior, so that no hand-made fleet decides the result.

The prior (medians; spreads are the sigmas of lognormals): input $0.25 per million tokens (0.6), output 2 to 5
times that; time to the first token 0.45 s (0.5), its noise 0.25 to 0.45; prefill 4,000 to 16,000 tokens a second;
decoding 70 tokens a second (0.4); failures 0.2 % (0.8). Slots by share, so that all together carry 1.3 to 2.6
times the busiest ten seconds. Two of five have a rate limit of 0.8 to 2 times their fair share of those; half
cache prompts at 10 to 50 % of the price. Four to eight endpoints.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Truth:
    """What an endpoint is really like. Prices in dollars per million tokens."""

    prompt: float
    completion: float
    cached: float | None
    ttft: float
    noise: float
    prefill: float
    tps: float
    slots: int
    limit: float | None
    failures: float


def draw(rng: random.Random, *, rate: float, tokens: float, output: float, count: int | None = None) -> list[Truth]:
    """A fleet for a load that at its busiest is `rate` requests a second of this mean size; `count`: of so many."""
    drawn = rng.randint(4, 8)
    count = drawn if count is None else count
    fleet = [_one(rng) for _ in range(count)]
    shares = [rng.lognormvariate(0, 0.6) for _ in fleet]
    spare = rng.uniform(1.3, 2.6)
    for one, share in zip(fleet, shares, strict=True):
        part = share / sum(shares)
        seconds = one.ttft + tokens / one.prefill + output / one.tps
        one.slots = max(2, round(rate * spare * part * seconds))
        if rng.random() < 0.4:
            one.limit = max(1.0, rate / count * rng.uniform(0.8, 2.0))
    return fleet


def load(path: str) -> list[Truth]:
    """A fleet from a JSON file: a list of objects with the fields of Truth."""
    return [Truth(**row) for row in json.loads(Path(path).read_text())]


def dump(fleet: list[Truth]) -> str:
    """The same as JSON."""
    return json.dumps([asdict(one) for one in fleet], indent=1)


def _one(rng: random.Random) -> Truth:
    prompt = rng.lognormvariate(-1.386, 0.6)
    return Truth(
        prompt=prompt,
        completion=prompt * rng.uniform(2, 5),
        cached=prompt * rng.uniform(0.1, 0.5) if rng.random() < 0.5 else None,
        ttft=min(1.5, max(0.15, rng.lognormvariate(-0.8, 0.5))),
        noise=rng.uniform(0.25, 0.45),
        prefill=rng.uniform(4_000, 16_000),
        tps=rng.lognormvariate(4.25, 0.4),
        slots=1,
        limit=None,
        failures=min(0.02, rng.lognormvariate(-6.2, 0.8)),
    )
