"""Which gift paid for what: pure arithmetic over amounts in nano-USD and moments.

Promotional credit is used before bought credit, and of several gifts the one that ends first is used first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Gift:
    """Credit that was given at a moment and lasts until another, or for ever."""

    id: int
    amount_nano: int
    begins: dt.datetime
    ends: dt.datetime | None


def left(
    gifts: Sequence[Gift], spent: Callable[[dt.datetime, dt.datetime], int], *, now: dt.datetime
) -> dict[int, int]:
    """What is unused of each gift at `now`; `spent(since, until)` is what the account was charged between.

    A gift that has ended keeps in the answer what was unused at its end.
    """
    rest = {gift.id: gift.amount_nano for gift in gifts if gift.begins <= now}
    moments = {gift.begins for gift in gifts} | {gift.ends for gift in gifts if gift.ends} | {now}
    edges = sorted(moment for moment in moments if moment <= now)
    for since, until in pairwise(edges):
        alive = [gift for gift in gifts if gift.begins <= since and (gift.ends is None or gift.ends >= until)]
        used = max(0, spent(since, until)) if any(rest[gift.id] for gift in alive) else 0
        for gift in sorted(alive, key=_soonest):
            taken = min(used, rest[gift.id])
            rest[gift.id] -= taken
            used -= taken
    return rest


def _soonest(gift: Gift) -> tuple[bool, dt.datetime, int]:
    return gift.ends is None, gift.ends or gift.begins, gift.id
