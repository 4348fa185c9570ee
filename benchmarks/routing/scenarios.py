"""What goes wrong in a run, and when. Times are shares of its length."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.routing.fleet import Truth

FAST, HANG, SLOW, LIMIT, PRICE, COLD = "fast", "hang", "slow", "limit", "price", "cold"


@dataclass(frozen=True, slots=True)
class Fault:
    """From `begin` to `end` (seconds), endpoint `index` is in this state; `amount` is its size."""

    index: int
    kind: str
    begin: float
    end: float
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """The faults of a run."""

    name: str
    faults: tuple[Fault, ...] = field(default=())


NAMES = (
    "healthy", "outage-fast", "outage-hang", "brownout", "flap", "rate-limits", "price-change", "correlated",
    "cold-start", "mixed",
)  # fmt: skip


def make(name: str, fleet: list[Truth], *, seconds: float, rng: random.Random) -> Scenario:
    """The scenario for this fleet; faults strike the cheaper half, where they matter."""
    cheap = sorted(range(len(fleet)), key=lambda i: fleet[i].prompt + fleet[i].completion / 4)
    victims = rng.sample(cheap[: max(2, len(cheap) // 2)], 2)
    first, second = victims

    def at(begin: float, end: float) -> tuple[float, float]:
        shift = rng.uniform(-0.03, 0.03)
        return (begin + shift) * seconds, (end + shift) * seconds

    match name:
        case "healthy":
            faults = []
        case "outage-fast":
            faults = [Fault(first, FAST, *at(0.2, 0.45)), Fault(second, FAST, *at(0.5, 0.75))]
        case "outage-hang":
            faults = [Fault(first, HANG, *at(0.2, 0.45)), Fault(second, HANG, *at(0.5, 0.75))]
        case "brownout":
            faults = [Fault(first, SLOW, *at(0.2, 0.45), 8.0), Fault(second, SLOW, *at(0.5, 0.75), 8.0)]
        case "flap":
            begin, end = at(0.2, 0.7)
            step = 5.0
            faults = [
                Fault(first, FAST, begin + 2 * i * step, begin + (2 * i + 1) * step)
                for i in range(int((end - begin) / step / 2))
            ]
        case "rate-limits":
            faults = [Fault(i, LIMIT, *at(0.25, 0.7), 0.35) for i in range(len(fleet))]
        case "price-change":
            faults = [Fault(cheap[0], PRICE, *at(0.3, 1.1), 4.0), Fault(cheap[-1], PRICE, *at(0.3, 1.1), 0.3)]
        case "correlated":
            faults = [Fault(i, FAST, *at(0.35, 0.55)) for i in cheap[: round(len(cheap) * 0.5)]]
        case "cold-start":
            faults = [Fault(first, COLD, *at(0.25, 0.45)), Fault(second, COLD, *at(0.5, 0.7))]
        case "mixed":
            faults = [
                Fault(first, HANG, *at(0.15, 0.35)),
                Fault(second, FAST, *at(0.3, 0.5)),
                Fault(rng.choice(cheap), SLOW, *at(0.4, 0.65), 8.0),
                *(Fault(i, LIMIT, *at(0.55, 0.8), 0.5) for i in range(len(fleet))),
                Fault(cheap[0], PRICE, *at(0.6, 1.1), 3.0),
                *(Fault(cheap[-1], FAST, (0.75 + i / 20) * seconds, (0.77 + i / 20) * seconds) for i in range(4)),
            ]
        case _:
            raise ValueError(f"There is no scenario {name}: {', '.join(NAMES)}")
    return Scenario(name, tuple(faults))
