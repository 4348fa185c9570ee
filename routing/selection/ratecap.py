"""How many requests a second an endpoint takes before it answers 429: learned, seeded by what it says itself.

A sliding bucket, not one that refills at the full minute. A refusal lowers the rate to a little under what was
just accepted; accepted requests raise it again, so a limit that was lifted is found.
"""

from math import exp
from typing import Final

WINDOW: Final = 2.0  # seconds over which the accepted rate is measured
LOWERED: Final = 0.95
RAISED: Final = 1.01
LEAST: Final = 0.1
BURST_SECONDS: Final = 1.0
PAUSE: Final = 0.25  # after a refusal that names no time
PAUSE_MAX: Final = 8.0
RETRY_AFTER_MAX: Final = 300.0


class RateCap:
    """A learned rate in requests per second (None: no limit met yet) and the time until which it is refused."""

    __slots__ = ("accepted", "at", "blocked_until", "rate", "refusals", "tokens")

    def __init__(self) -> None:
        self.rate: float | None = None
        self.tokens = 1.0
        self.accepted = 0.0
        self.at = 0.0
        self.refusals = 0
        self.blocked_until = 0.0

    def seed(self, *, per_second: float, now: float) -> None:
        """The endpoint says its limit."""
        if per_second > 0 and self.rate is None:
            self._flow(now)
            self.rate = max(LEAST, per_second)

    def begin(self, *, now: float) -> None:
        """A request goes there."""
        self._flow(now)
        self.tokens -= 1

    def accepted_one(self, *, now: float) -> None:
        """It was taken."""
        self._flow(now)
        self.accepted += 1
        self.refusals = 0
        if self.rate is not None and self.tokens < self.rate * BURST_SECONDS / 2:
            self.rate *= RAISED

    def refused(self, *, now: float, retry_after: float | None) -> None:
        """429: fewer from now on, none before `retry_after` seconds have passed."""
        self._flow(now)
        seen = max(LEAST, LOWERED * self.accepted / WINDOW)
        if now >= self.blocked_until:  # refusals of what was already under way say nothing new
            self.rate = seen if self.rate is None else max(LEAST, min(self.rate, max(seen, self.rate * 0.8)))
            self.refusals += 1
        self.tokens = min(self.tokens, 0.0)
        pause = min(PAUSE * 2.0 ** min(max(self.refusals - 1, 0), 6), PAUSE_MAX)
        if retry_after is not None:
            pause = min(retry_after, RETRY_AFTER_MAX)
        self.blocked_until = max(self.blocked_until, now + pause)

    def free_at(self, now: float) -> float:
        """When the next request will be taken: a time not after `now` when it is now."""
        free = self.blocked_until
        if self.rate is not None:
            self._flow(now)
            if self.tokens < 1:
                free = max(free, now + (1 - self.tokens) / self.rate)
        return free

    def _flow(self, now: float) -> None:
        passed = now - self.at
        if passed <= 0:
            return
        self.at = now
        self.accepted *= exp(-passed / WINDOW)
        if self.rate is None:
            self.tokens = 1.0
        else:
            self.tokens = min(max(1.0, self.rate * BURST_SECONDS), self.tokens + passed * self.rate)
