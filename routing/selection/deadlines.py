"""How long an attempt may stay silent before the next endpoint is asked instead.

The last attempt is never cut off early: it keeps the sender's own deadline, for a late answer is better than none.
"""

from typing import Final

LEAST: Final = 1.0
MOST: Final = 10.0
PROBE_MOST: Final = 1.75
SPREADS: Final = 4.0


def first_chunk(*, expected: float, spread: float, whole: float, is_last: bool, is_probe: bool = False) -> float:
    """Seconds to the first piece: what is expected and some spreads, at most `whole`, which a last attempt keeps.

    A probe of an endpoint that was failing gets little: the request that makes it should not be late for it.
    """
    if is_last:
        return whole
    patience = min(1.5 * expected + SPREADS * spread, 3 * expected + 1)
    return min(max(patience, LEAST), PROBE_MOST if is_probe else MOST, whole)


def hedge_after(*, expected: float, spread: float) -> float:
    """Seconds of silence after which a second endpoint is asked beside the first."""
    return max(expected + 3 * spread, 0.3)
