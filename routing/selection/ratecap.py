"""How many requests a second an endpoint takes before it answers 429: learned, seeded by what it says itself.

A sliding bucket, not one that refills at the full minute. A refusal lowers the rate to a little under what was
just accepted; requests that use it up without a refusal raise it again, so that a lifted limit is found.
"""

from math import exp
from typing import Final

WINDOW: Final = 1.0  # seconds over which the accepted rate is measured
LOWERED: Final = 0.95
MOST_LOWERED: Final = 0.9  # of the former rate, by one refusal
# (seconds without a refusal, what of the rate is added in a second in which all of it is used)
RAISED: Final = ((6.0, 0.5), (3.0, 0.25), (1.5, 0.12))
MEASURED_SECONDS: Final = 1.0
LEAST: Final = 0.2
LEAST_SAID: Final = 1e-5  # one a day
BURST_SECONDS: Final = 1.0
DISTRUST_SECONDS: Final = 60.0
PAUSE: Final = 0.25  # after a refusal that names no time
PAUSE_MAX: Final = 8.0
RETRY_AFTER_MAX: Final = 300.0


class RateCap:
    """A learned rate in requests per second (None: no limit met yet) and the time until which it is refused."""

    __slots__ = (
        "accepted", "at", "blocked_until", "distrusted_until", "most", "rate", "refusals", "refused_at",
        "taken_since", "tokens",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rate: float | None = None
        self.most: float | None = None  # requests at once, where the endpoint says so
        self.tokens = 1.0
        self.accepted = 0.0
        self.at = 0.0
        self.refusals = 0
        self.refused_at = 0.0
        self.taken_since = 0
        self.blocked_until = 0.0
        self.distrusted_until = 0.0

    def seed(self, *, per_second: float, now: float) -> None:
        """Somebody else's idea of the rate: taken where none of our own is known."""
        if per_second > 0 and self.rate is None:
            self._flow(now)
            self.rate = max(LEAST, per_second)

    def said(self, *, left: float, most: float, per_second: float, now: float) -> None:
        """The endpoint says that `left` requests are left of `most`, and how many come back a second.

        It knows best, but for a while after it refused while this count was not used up: then another limit binds.
        """
        if per_second <= 0 or now < self.distrusted_until:
            return
        self._flow(now)
        if self.most is None or self.tokens >= 0:  # else places are reserved ahead
            self.tokens = left
        self.rate, self.most = max(LEAST_SAID, per_second), max(1.0, most)

    def reserve(self, *, now: float, most: float = 1e9) -> float:
        """A place for one request; answers how many seconds from now it is for.

        Where that is longer than `most`, it takes none and goes at once: its answer says whether the cap still holds.
        """
        seconds = max(0.0, self.free_at(now) - now)
        if seconds > most:
            return 0.0
        self.tokens -= 1
        return seconds

    def given_back(self) -> None:
        """Who had a place does not come."""
        self.tokens += 1

    def sent(self, *, now: float) -> None:
        """A request goes out: taken, unless a refusal comes."""
        self._flow(now)
        self.accepted += 1
        self.taken_since += 1
        if self.rate is not None and self.most is None and self.tokens < self.rate / 3:
            calm = now - self.refused_at
            for seconds, share in RAISED:
                if calm > seconds:
                    self.rate *= 1 + share / max(1.0, self.rate)
                    break

    def refused(self, *, now: float, retry_after: float | None) -> None:
        """429: fewer from now on, none before `retry_after` seconds have passed."""
        self._flow(now)
        self.accepted = max(0.0, self.accepted - 1)
        self.taken_since = max(0, self.taken_since - 1)
        if now >= self.blocked_until:  # refusals of what was already under way say nothing new
            seen = max(LEAST, LOWERED * self.accepted / WINDOW)
            since = now - self.refused_at
            if self.most is not None and self.tokens >= 1:  # what it says of its limit is not all
                self.distrusted_until = now + DISTRUST_SECONDS
                self.rate, self.most = max(1.0, seen), None
            elif self.rate is None:
                self.rate = max(1.0, seen)
            elif self.most is None:  # between two refusals as much was taken as came free
                if since > MEASURED_SECONDS:
                    seen = max(seen, self.taken_since / since)
                self.rate = min(self.rate, max(seen, self.rate * MOST_LOWERED))
            self.refusals += 1
            self.taken_since = 0
        self.refused_at = now
        self.tokens = min(self.tokens, 0.0)
        pause = min(PAUSE * 2.0 ** min(max(self.refusals - 1, 0), 6), PAUSE_MAX)
        if retry_after is not None:
            pause = min(retry_after, RETRY_AFTER_MAX)
        self.blocked_until = max(self.blocked_until, now + pause)

    def heard(self, *, rate: float | None, blocked_until: float, now: float) -> None:
        """Another process was refused: none before that time, and its rate where ours is not known."""
        self.blocked_until = max(self.blocked_until, blocked_until)
        if rate is not None:
            self.seed(per_second=rate, now=now)

    def taken(self) -> None:
        """An answer came: the refusals are over."""
        self.refusals = 0

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
            return
        most = self.most if self.most is not None else max(1.0, self.rate * BURST_SECONDS)
        self.tokens = min(most, self.tokens + passed * self.rate)
