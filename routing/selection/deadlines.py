"""How long an attempt may stay silent before the next endpoint is asked instead.

The last attempt is never cut off early: it keeps the sender's own deadline, for a late answer is better than none.
"""

from typing import Final

LEAST: Final = 1.0
MOST: Final = 10.0  # but where as long is usual
LONG: Final = 1.5  # times what is expected, at least
PROBE_MOST: Final = 1.75
THINKING: Final = 30.0  # where nobody knows whether models think aloud there
SPREADS: Final = 4.0


def first_chunk(*, expected: float, spread: float, whole: float, is_last: bool, is_probe: bool = False) -> float:
    """Seconds to the first piece: what is expected and some spreads, at most `whole`, which a last attempt keeps.

    No fixed bound cuts off what is expected to take longer: a long prompt takes as long elsewhere, and is paid twice.
    A probe of an endpoint that was failing gets little: the request that makes it should not be late for it.
    """
    if is_last:
        return whole
    patience = min(LONG * expected + SPREADS * spread, 3 * expected + 1)
    return min(max(patience, LEAST), PROBE_MOST if is_probe else max(MOST, LONG * expected), whole)


def of_thoughts(*, expected: float, whole: float, are_silent: bool, is_probe: bool = False) -> float:
    """Seconds to the first piece where the model may think in silence, or hang: what has been met decides."""
    if are_silent:
        return min(whole, max(THINKING, LONG * expected)) if is_probe else whole
    return min(whole, max(MOST if is_probe else THINKING, LONG * expected))


def hedge_after(*, expected: float, spread: float) -> float:
    """Seconds of silence after which a second endpoint is asked beside the first."""
    return max(expected + 3 * spread, 0.3)
