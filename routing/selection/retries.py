"""How often more than one attempt is allowed: a share of the arrivals, with a reserve for quiet times.

When everything fails at once, retries would multiply the load on what is left; the budget bounds that.
"""

from typing import Final

SHARE: Final = 0.2
RESERVE_PER_SECOND: Final = 10.0
KEPT_SECONDS: Final = 10.0
HEDGE_SHARE: Final = 0.05


class Budget:
    """Tokens that arrivals and time bring, and that each further attempt takes."""

    __slots__ = ("_at", "_most", "_per_second", "_share", "tokens")

    def __init__(self, *, share: float = SHARE, per_second: float = RESERVE_PER_SECOND) -> None:
        self._share = share
        self._per_second = per_second
        self._most = max(1.0, per_second * KEPT_SECONDS)
        self._at = 0.0
        self.tokens = self._most

    def arrived(self, *, now: float) -> None:
        """A request came."""
        self._flow(now)
        self.tokens = min(self.tokens + self._share, self._most)

    def take(self, *, now: float) -> bool:
        """Whether one more attempt may be made; it is counted."""
        self._flow(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def _flow(self, now: float) -> None:
        if now > self._at:
            if self._at:
                self.tokens = min(self.tokens + (now - self._at) * self._per_second, self._most)
            self._at = now
