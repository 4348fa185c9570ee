"""Whether two worlds put policies in the same order. Pure.

A world is policy -> its objective, run by run; runs are paired. Two policies are tied in a world where the 95 %
interval of their difference (Student's t) holds zero: what repeats do not tell apart is no order.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

World = Mapping[str, Sequence[float]]

# Two-sided 95 % points of Student's t by degrees of freedom; beyond the last, the last.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of policies: in the same order, swapped, and tied in one world or both.

    `tau` is Kendall's over the pairs that are tied in neither world, `tau_of_means` over all by their means.
    """

    same: int
    swapped: tuple[tuple[str, str], ...]
    tied: int
    tau: float | None
    tau_of_means: float


def agree(one: World, other: World) -> Agreement:
    """How the orders of the same policies in two worlds compare."""
    same, tied, balance = 0, 0, 0
    swapped = []
    pairs = list(itertools.combinations(one, 2))
    for a, b in pairs:
        first, second = compare(one[a], one[b]), compare(other[a], other[b])
        if first * second > 0:
            same += 1
        elif first * second < 0:
            swapped.append((a, b))
        else:
            tied += 1
        gap, other_gap = (statistics.fmean(world[a]) - statistics.fmean(world[b]) for world in (one, other))
        balance += 1 if gap * other_gap > 0 else -1
    decided = same + len(swapped)
    tau = (same - len(swapped)) / decided if decided else None
    return Agreement(same, tuple(swapped), tied, tau, balance / len(pairs))


def compare(one: Sequence[float], other: Sequence[float]) -> int:
    """-1 where `one` is less, 1 where it is more, 0 where the runs do not tell; a single run always tells."""
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    mean = statistics.fmean(gaps)
    count = len(gaps)
    bound = T[min(count - 2, len(T) - 1)] * statistics.stdev(gaps) / sqrt(count) if count > 1 else 0.0
    return 0 if abs(mean) <= bound else (1 if mean > 0 else -1)


def ranked(world: World) -> list[str]:
    """The policies, the best first."""
    return sorted(world, key=lambda name: statistics.fmean(world[name]))
