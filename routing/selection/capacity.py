"""How many requests an endpoint serves at once before they queue: known for our own workers, learned for others.

What shows a queue is a late first token while the endpoint is busy; how many it serves is what runs at that moment
and has had its first token, with those that are being read in. Without lateness the limit grows with use. A new
or recovered endpoint so starts slowly; one that is back gets up to what it took before in half the time.
"""

from math import exp
from typing import Final

FIRST_LIMIT: Final = 8.0
LEAST_LIMIT: Final = 2.0
MOST_LIMIT: Final = 10_000.0
IN_A_ROW: Final = 2  # late first tokens: one alone is noise
NEARER: Final = 0.3  # of the way from the limit to what was just counted
RAISED_FAST: Final = 0.5
RAISED: Final = 0.1
RAISED_AGAIN: Final = 1.0  # after an outage, up to what it took before: most come back as they were
AHEAD: Final = 1.1  # how far beyond what was shown the limit grows
NEAR: Final = 0.8  # of the limit in use: only what was tried is learned
CALM_SECONDS: Final = 10.0
LATE: Final = 2.0  # times the usual time to the first token
LATE_SECONDS: Final = 0.3  # and at least so much beyond it
MOST_READING: Final = 0.7  # of those that are served, at most, are still being read in
USUAL_SECONDS: Final = 2.0  # that an answer takes, before any has been seen
USUAL_WEIGHT: Final = 2.0
PEAK_MEMORY: Final = 8.0
MEMORY: Final = 60.0  # seconds after which a third of what was measured is left


class Capacity:
    """Requests in flight, the limit for them, and how long one takes once it is served."""

    __slots__ = (
        "_busy_seconds", "_ended", "_flowed_at", "_peak", "_peaked_at", "cold_seconds", "in_flight",
        "is_growing_fast", "known", "lates", "limit", "lowered_at", "queued", "slots",
    )  # fmt: skip

    def __init__(self) -> None:
        self.in_flight = 0
        self.limit = FIRST_LIMIT
        self.is_growing_fast = True
        self.known = 0.0  # the limit before an outage, until lateness gainsays it
        self.lates = 0
        self.lowered_at = -1e9
        # Time spent serving over answers ended is how long one takes, without favour for the short ones that end first.
        self._busy_seconds = USUAL_SECONDS * USUAL_WEIGHT
        self._ended = USUAL_WEIGHT
        self._flowed_at = 0.0
        self._peak = 0.0  # the most that was served at once of late
        self._peaked_at = 0.0
        # Of our own workers: how many run at once, what already waits there, and a cold start ahead of all.
        self.slots: int | None = None
        self.queued = 0
        self.cold_seconds = 0.0

    def know(self, *, slots: int, queued: int, cold_seconds: float) -> None:
        """The exact state of our own workers: it takes the place of what would be learned."""
        self.slots, self.queued, self.cold_seconds = slots, queued, cold_seconds

    def know_no_more(self) -> None:
        """Nobody says how they are: what was learned counts again."""
        self.slots, self.queued, self.cold_seconds = None, 0, 0.0

    @property
    def seconds(self) -> float:
        """How long one answer takes, from the moment it is served."""
        return self._busy_seconds / self._ended

    def count(self, in_flight: int, *, now: float, ended: bool = False) -> None:
        """So many run from now on; `ended`: an answer became whole."""
        passed = now - self._flowed_at
        if passed > 0:
            served = min(self.in_flight, self.limit if self.slots is None else self.slots)
            keep = exp(-passed / MEMORY) if served else 1.0
            self._busy_seconds = self._busy_seconds * keep + served * passed
            self._ended *= keep
            self._flowed_at = now
        self._ended += ended
        self.in_flight = in_flight

    def first_token(self, *, level: float, usual: float, others: int, served: int, now: float) -> bool:
        """A first token came `level` seconds after its begin (input aside), when `others` ran beside it.

        `served` have had theirs by now and run. Answers whether it was late by a queue.
        """
        self._peak = max(float(served), self._peak * exp(-max(0.0, now - self._peaked_at) / PEAK_MEMORY))
        self._peaked_at = now
        late = level > LATE * usual and level > usual + LATE_SECONDS
        self.lates = self.lates + 1 if late else 0
        is_near = others + 1 >= NEAR * self.limit
        if late and is_near:
            if self.lates >= IN_A_ROW:
                reading = min(usual / self.seconds, MOST_READING)
                counted = max(LEAST_LIMIT, served / (1 - reading), self._peak)
                self.limit += NEARER * (counted - self.limit)
                self.is_growing_fast = False
                self.known = 0.0
                self.lowered_at = now
        elif not late and is_near:
            if now - self.lowered_at > CALM_SECONDS:
                self.is_growing_fast = True
            shown = others + 1.0  # it has just been shown to take so many
            raised = RAISED_AGAIN if self.limit < self.known else RAISED_FAST if self.is_growing_fast else RAISED
            grown = min(self.limit + raised, AHEAD * shown + 1)
            self.limit = min(MOST_LIMIT, max(self.limit, grown))
        self.limit = min(MOST_LIMIT, max(self.limit, float(served)))
        return late and is_near

    def start_slowly(self) -> None:
        """It comes back from an outage."""
        self.known = max(self.known, self.limit)
        self.limit = min(self.limit, LEAST_LIMIT + 2)
        self.is_growing_fast = True

    def wait(self) -> float:
        """Seconds that one more request is expected to queue."""
        if self.slots is not None:
            if self.slots < 1:
                return self.cold_seconds + self.queued * self.seconds
            ahead = self.in_flight + self.queued + 1 - self.slots
            return max(0.0, ahead) * self.seconds / self.slots + (self.cold_seconds if ahead <= 0 else 0.0)
        beyond = self.in_flight + 1 - self.limit
        return beyond * self.seconds / self.limit if beyond > 0 else 0.0
