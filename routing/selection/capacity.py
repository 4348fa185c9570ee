"""How many requests an endpoint serves at once before they queue: known for our own workers, learned for others.

Learned as congestion control learns it: the limit grows while first tokens come as fast as ever, and falls
to a little under the number in flight when they come late. A new or recovered endpoint so starts slowly.
"""

from typing import Final

FIRST_LIMIT: Final = 8.0
LEAST_LIMIT: Final = 2.0
MOST_LIMIT: Final = 10_000.0
LOWERED: Final = 0.9
IN_A_ROW: Final = 3  # late first tokens: one alone is noise
RAISED: Final = 0.1
AHEAD: Final = 1.1  # how far beyond what was shown the limit grows
NEAR: Final = 0.8  # of the limit in use: only what was tried is learned
CALM_SECONDS: Final = 10.0
LATE: Final = 2.0  # times the usual time to the first token
LATE_SECONDS: Final = 0.3  # and at least so much beyond it
REST: Final = 1.0  # seconds between two lowerings


class Capacity:
    """Requests in flight, the limit for them, and how long one takes."""

    __slots__ = (
        "cold_seconds",
        "in_flight",
        "is_growing_fast",
        "lates",
        "limit",
        "lowered_at",
        "queued",
        "seconds",
        "slots",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.limit = FIRST_LIMIT
        self.is_growing_fast = True
        self.lates = 0
        self.lowered_at = -1e9
        self.seconds = 2.0
        # Of our own workers: how many run at once, what already waits there, and a cold start ahead of all.
        self.slots: int | None = None
        self.queued = 0
        self.cold_seconds = 0.0

    def know(self, *, slots: int, queued: int, cold_seconds: float) -> None:
        """The exact state of our own workers: it takes the place of what would be learned."""
        self.slots, self.queued, self.cold_seconds = slots, queued, cold_seconds

    def first_token(self, *, level: float, usual: float, in_flight: int, now: float) -> bool:
        """A first token came `level` seconds after its begin (input aside), when `in_flight` others ran.

        Answers whether it was late.
        """
        late = level > LATE * usual and level > usual + LATE_SECONDS
        self.lates = self.lates + 1 if late else 0
        if self.lates >= IN_A_ROW:
            if in_flight >= LEAST_LIMIT and now - self.lowered_at > REST:
                self.limit = max(LEAST_LIMIT, LOWERED * min(self.limit, in_flight + 1.0))
                self.is_growing_fast = False
                self.lowered_at = now
        elif not late and in_flight + 1 >= NEAR * self.limit:
            if now - self.lowered_at > CALM_SECONDS:
                self.is_growing_fast = True
            shown = in_flight + 1.0  # it has just been shown to take so many
            grown = min(self.limit + (0.5 if self.is_growing_fast else RAISED), AHEAD * shown + 1)
            self.limit = min(MOST_LIMIT, max(self.limit, grown, shown))
        return late

    def ended(self, *, seconds: float) -> None:
        """A whole answer took so long."""
        self.seconds += 0.1 * (seconds - self.seconds)

    def start_slowly(self) -> None:
        """It comes back from an outage."""
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
