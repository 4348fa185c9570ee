"""Keeping away from an endpoint that fails: open for a time that doubles, then one probe, then trust again.

An open breaker puts an endpoint behind the others; it never takes it out of a plan.
"""

from typing import Final

CONSECUTIVE: Final = 3
SHARE: Final = 0.5
LEAST_CALLS: Final = 4.0
OPEN_SECONDS: Final = 2.0
OPEN_SECONDS_MAX: Final = 4.0  # while the outage is young: most are short
LONG_SECONDS_MAX: Final = 8.0  # later on, so that few requests pay for probes of a long one
YOUNG_OPENINGS: Final = 6
QUICK_SECONDS_MAX: Final = 2.5
JITTER: Final = 0.2
PROBE_SECONDS: Final = 30.0  # a probe whose end nobody told holds its place so long
CALM_SECONDS: Final = 120.0  # without a failure for so long, the next opening is short again


class Breaker:
    """Closed, open until a time, or half-open: waiting for one probe."""

    __slots__ = ("consecutive", "failed_at", "is_open", "open_until", "openings", "probe_until")

    def __init__(self) -> None:
        self.consecutive = 0
        self.is_open = False
        self.open_until = 0.0
        self.openings = 0
        self.probe_until = 0.0
        self.failed_at = 0.0

    def failed(
        self,
        *,
        calls: float,
        failures: float,
        now: float,
        chance: float,
        at_once: bool = False,
        was_quick: bool = False,
    ) -> None:
        """A failure; `calls` and `failures` are the decayed counts, `chance` in [0, 1) spreads the reopening.

        `was_quick`: it showed at once, so that a probe costs next to nothing and may be made often.
        """
        self.consecutive += 1
        if now - self.failed_at > CALM_SECONDS:
            self.openings = 0
        self.failed_at = now
        broke = self.consecutive >= CONSECUTIVE or (calls > LEAST_CALLS and failures > SHARE * calls)
        if at_once or broke or self.is_open:
            # Failures of calls that were already under way say nothing new.
            if not self.is_open or now >= self.open_until:
                most = OPEN_SECONDS_MAX if self.openings < YOUNG_OPENINGS else LONG_SECONDS_MAX
                wait = min(OPEN_SECONDS * 2.0**self.openings, QUICK_SECONDS_MAX if was_quick else most)
                self.open_until = now + wait * (1 - JITTER + 2 * JITTER * chance)
                self.openings = min(self.openings + 1, 10)
            self.is_open = True
            self.probe_until = 0.0

    def hold_until(self, when: float, *, now: float) -> None:
        """Open at least until then."""
        self.is_open = True
        self.open_until = max(self.open_until, when)

    def succeeded(self) -> None:
        """A good answer closes it."""
        self.consecutive = 0
        self.is_open = False
        self.probe_until = 0.0

    def begin(self, *, now: float) -> None:
        """A call goes there: while half-open it is the probe, and others stay away until it has ended."""
        if self.is_open and now >= self.open_until:
            self.probe_until = now + PROBE_SECONDS

    def is_half_open(self, now: float) -> bool:
        """Whether one probe may go."""
        return self.is_open and now >= self.open_until and now >= self.probe_until

    def is_shut_out(self, now: float) -> bool:
        """Whether others come first."""
        return self.is_open and (now < self.open_until or now < self.probe_until)
