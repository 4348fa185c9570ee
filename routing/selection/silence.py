"""How likely an endpoint has fallen silent, from the calls that wait there for their first token.

One slow call is luck; several that all take longer than usual at once are hardly that. The surprise of a wait is how
unlikely a well endpoint lets a call wait so long (minus its logarithm); those of all that wait add up. While first
tokens come from there it is well, however long others have waited, in a queue or because less was thought usual than
is: only what they waited since the last one counts.
"""

from collections.abc import Iterable
from math import exp, log1p
from typing import Final

FAULT: Final = 0.002  # how likely an endpoint has just failed, before anything is seen of it
MOST_SURPRISE: Final = 3.5  # by one call: a long wait may have a cause of its own
LEFT_SURPRISE: Final = 3.0  # that stays of a call that was given up
MOST_CALLS: Final = 8  # that are looked at, the oldest
ENOUGH: Final = 20.0  # surprise beyond which nothing changes any more
SCALE: Final = 0.72  # the scale of a logistic distribution, in its mean deviations
LEAST_SPREAD: Final = 0.2  # of the usual time: a smaller spread is not believed
MEMORY: Final = 5.0  # seconds after which a third of the surprise of calls that were given up is left


class Silence:
    """The surprise of the calls that were given up since the last answer, beside those that still wait."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = 0.0
        self._at = 0.0

    def gave_up(self, *, now: float) -> None:
        """We stopped waiting for a call."""
        self._left = min(ENOUGH, self._kept(now) + LEFT_SURPRISE)
        self._at = now

    def broken(self) -> None:
        """A call was answered that began after those that were given up."""
        self._left = 0.0

    def doubt(self, waits: Iterable[tuple[float, float]], *, spread: float, since: float, now: float) -> float:
        """How likely the endpoint has failed, by (seconds that a call has waited, seconds that are usual for it).

        `since`: seconds since a first token came from there.
        """
        total = self._kept(now)
        for age, usual in waits:
            more = surprise(age, usual=usual, spread=spread)
            if age > since:
                more -= surprise(age - since, usual=usual, spread=spread)
            total += min(more, MOST_SURPRISE)
        odds = FAULT * (exp(min(total, ENOUGH)) - 1)
        return odds / (1 + odds)

    def _kept(self, now: float) -> float:
        return self._left * exp(-max(0.0, now - self._at) / MEMORY) if self._left else 0.0


def surprise(age: float, *, usual: float, spread: float) -> float:
    """Of one wait of `age` seconds where `usual` are expected, from 0 on."""
    z = (age - usual) / (SCALE * max(spread, LEAST_SPREAD * usual) + 1e-6)
    return log1p(exp(z)) if z < ENOUGH else z
