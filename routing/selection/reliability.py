"""How often an endpoint fails: counts that halve every ten seconds, with a prior of two failures in a hundred."""

from math import exp
from typing import Final

MEAN_LIFE: Final = 10.0 / 0.6931
PRIOR_ODDS: Final = 0.02
PRIOR_WEIGHT: Final = 2.0
LOST_SECONDS: Final = 0.5  # what is believed that a failure takes before it shows
FORGIVEN: Final = 0.2  # what is left of the counts of an outage once it is over
WORST: Final = 0.98


class Reliability:
    """Decayed counts of calls and failures, and the time that a failure costs."""

    __slots__ = ("_mean_life", "at", "calls", "failures", "lost_seconds")

    def __init__(self, *, mean_life: float = MEAN_LIFE) -> None:
        self._mean_life = mean_life
        self.calls = 0.0
        self.failures = 0.0
        self.lost_seconds = LOST_SECONDS
        self.at = 0.0

    def observe(self, *, failed: bool, now: float, seconds: float = 0.0) -> None:
        """A call ended; a failed one had taken so many seconds."""
        self._decay(now)
        self.calls += 1
        if failed:
            self.failures += 1
            self.lost_seconds += 0.3 * (seconds - self.lost_seconds)

    def heard(self, *, answered: int, failed: int, lost: float, then: float, now: float) -> None:
        """Others' calls until `then`; a failed one had taken `lost` seconds. Decayed as if they had been ours."""
        self._decay(now)
        keep = exp(-max(0.0, now - then) / self._mean_life)
        self.calls += (answered + failed) * keep
        self.failures += failed * keep
        if failed:
            self.lost_seconds += 0.3 * keep * (lost - self.lost_seconds)

    def forgive(self) -> None:
        """It is back after an outage, whose failures say little of what comes."""
        self.calls *= FORGIVEN
        self.failures *= FORGIVEN

    def believed(self, now: float) -> tuple[float, float]:
        """(share of calls that fail, seconds that a failure costs), as believed now."""
        keep = self._kept(now)
        share = (self.failures * keep + PRIOR_ODDS * PRIOR_WEIGHT) / (self.calls * keep + PRIOR_WEIGHT)
        return min(share, WORST), LOST_SECONDS + (self.lost_seconds - LOST_SECONDS) * keep

    def failure_share(self, now: float) -> float:
        """The share of calls that fail, as believed now."""
        return self.believed(now)[0] if self.calls or self.failures else PRIOR_ODDS

    def _kept(self, now: float) -> float:
        return exp((self.at - now) / self._mean_life) if now > self.at else 1.0

    def _decay(self, now: float) -> None:
        keep = self._kept(now)
        self.lost_seconds = LOST_SECONDS + (self.lost_seconds - LOST_SECONDS) * keep
        self.calls *= keep
        self.failures *= keep
        self.at = max(now, self.at)
