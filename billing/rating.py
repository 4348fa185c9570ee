"""What something costs and who gets it: pure integer arithmetic (docs/money.md).

Amounts are nano-USD; prices are nano-USD per 1,000,000 units; shares are basis points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PER_MILLION = 1_000_000
ALL_BPS = 10_000
PLATFORM = "platform_revenue"


@dataclass(frozen=True, slots=True)
class Line:
    """One unit's part of a charge; `exact` is nano-USD times a million, so that lines add up before rounding."""

    unit: str
    quantity: int
    nano_per_million: int

    @property
    def exact(self) -> int:
        """Quantity times price, unrounded: nano-USD x 1,000,000."""
        return self.quantity * self.nano_per_million


@dataclass(frozen=True, slots=True)
class Rated:
    """What a request costs: the amount in nano-USD and the lines that make it up."""

    amount_nano: int
    lines: tuple[Line, ...]

    @property
    def quantities(self) -> dict[str, int]:
        """Unit -> how many."""
        return {line.unit: line.quantity for line in self.lines}

    @property
    def prices(self) -> dict[str, int]:
        """Unit -> nano-USD per million units, as applied."""
        return {line.unit: line.nano_per_million for line in self.lines}


@dataclass(frozen=True, slots=True)
class Part:
    """A named share: basis points of the charge, or a fixed amount in nano-USD (a provider's invoice)."""

    kind: str
    account_id: int | None
    bps: int = 0
    fixed_nano: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one party gets of a charge, in nano-USD."""

    kind: str
    account_id: int | None
    amount_nano: int


def rate(prices: Mapping[str, int], quantities: Mapping[str, int]) -> Rated:
    """The cost of some quantities: one sum, rounded half up once.

    A unit without a price is free; it stays in the lines, so that the books show it.
    Raises ValueError for a negative quantity.
    """
    lines = tuple(Line(unit, count, prices.get(unit, 0)) for unit, count in quantities.items() if count)
    for line in lines:
        if line.quantity < 0:
            raise ValueError(f"{line.quantity} {line.unit}: a quantity is not negative")
    total = sum(line.exact for line in lines)
    return Rated(amount_nano=(total + PER_MILLION // 2) // PER_MILLION, lines=lines)


def split(amount_nano: int, parts: Sequence[Part], *, rest: str = PLATFORM) -> tuple[Share, ...]:
    """Cut an amount into the named shares, in order; what is left goes to `rest`.

    The shares always add up to the amount. The rest is negative only when a fixed cost exceeds
    the charge, which the catalogue refuses unless a loss is allowed. Raises ValueError for
    parts of more than everything.
    """
    if sum(part.bps for part in parts) > ALL_BPS:
        raise ValueError("the parts add up to more than everything")
    shares = [
        Share(
            part.kind,
            part.account_id,
            amount_nano * part.bps // ALL_BPS if part.fixed_nano is None else part.fixed_nano,
        )
        for part in parts
    ]
    left = amount_nano - sum(share.amount_nano for share in shares)
    return (*shares, Share(rest, None, left))
