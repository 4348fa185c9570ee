"""Whether two worlds put policies in the same order. Pure.

A world is policy -> its objective, repeat by repeat. What is left once each policy's mean and each repeat's are taken
out is noise (a randomised block design); two policies are tied in a world where the 95 % interval of their difference
that follows from it holds zero: what repeats do not tell apart is no order.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

World = Mapping[str, Sequence[float]]

# Two-sided 95 % points of Student's t by degrees of freedom; beyond the last, the last.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


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
    bounds = least_difference(one), least_difference(other)
    pairs = list(itertools.combinations(one, 2))
    for a, b in pairs:
        gaps = [statistics.fmean(world[a]) - statistics.fmean(world[b]) for world in (one, other)]
        is_alike = gaps[0] * gaps[1] > 0
        if any(abs(gap) <= bound for gap, bound in zip(gaps, bounds, strict=True)):
            tied += 1
        elif is_alike:
            same += 1
        else:
            swapped.append((a, b))
        balance += 1 if is_alike else -1
    decided = same + len(swapped)
    tau = (same - len(swapped)) / decided if decided else None
    return Agreement(same, tuple(swapped), tied, tau, balance / len(pairs))


def least_difference(world: World) -> float:
    """The least difference of two policies' means that is told from noise; of a single repeat every one is."""
    rows = list(world.values())
    policies, repeats = len(rows), len(rows[0])
    freedom = (policies - 1) * (repeats - 1)
    if not freedom:
        return 0.0
    means = [statistics.fmean(row) for row in rows]
    shifts = [statistics.fmean(column) - statistics.fmean(means) for column in zip(*rows, strict=True)]
    rest = sum(
        (value - mean - shift) ** 2
        for row, mean in zip(rows, means, strict=True)
        for value, shift in zip(row, shifts, strict=True)
    )
    return T[min(freedom, len(T)) - 1] * sqrt(rest / freedom * 2 / repeats)


def ranked(world: World) -> list[str]:
    """The policies, the best first."""
    return sorted(world, key=lambda name: statistics.fmean(world[name]))
