"""How long an endpoint takes to its first token, estimated: an intercept, what each token of input adds, the spread.

Newer samples weigh more, and one far above the mean weighs most: a sudden slowness is believed at once, a
recovery after some samples. Without samples the estimate returns to the long-run level, so that an endpoint
that was slow once becomes worth a try again without any timer.
"""

from math import exp
from typing import Final

SECONDS: Final = 0.8  # what is believed of an endpoint that nothing is known of
SPREAD: Final = 0.25
PER_TOKEN: Final = 1 / 8_000
PER_TOKEN_MAX: Final = 1 / 500
FAST, SLOW, LONG_RUN_UP, LONG_RUN_DOWN, SLOPE_RATE = 0.35, 0.15, 0.01, 0.1, 0.05
FORGETTING: Final = 15.0  # seconds without a sample after which a third of a deviation from the long run is left
RECOVERY: Final = 0.5
MOST_SURPRISE: Final = 5.0  # spreads: what is farther off tells of a queue or a fault, not of the spread
SPREAD_RATE: Final = 0.1
USUAL_TOKENS: Final = 2_000.0


class Latency:
    """Seconds to the first token. Times are of any one clock."""

    __slots__ = ("at", "intercept", "long_run", "per_token", "samples", "spread")

    def __init__(self, *, seconds: float = SECONDS, spread: float = SPREAD, per_token: float = PER_TOKEN) -> None:
        self.intercept = seconds
        self.long_run = seconds
        self.spread = spread
        self.per_token = per_token
        self.samples = 0
        self.at = 0.0

    def observe(self, *, seconds: float, tokens: int, now: float) -> None:
        """A first token came after `seconds`, for an input of so many tokens."""
        error = seconds - (self.intercept + self.per_token * tokens)
        if self.samples == 0:
            self.intercept = max(0.0, seconds - self.per_token * tokens)
            self.long_run = self.intercept
            self.spread = max(self.spread / 2, self.intercept / 4)
        else:
            expected = self.intercept + self.per_token * tokens
            # The first samples count fully: a mean before it is a moving one.
            # After a pause the newest says more than what was before it.
            fresh = 1 - exp(-max(0.0, now - self.at) / FORGETTING)
            rate = max(FAST if seconds > 2 * expected else SLOW, 1 / (self.samples + 1), fresh)
            surprise = min(abs(error), MOST_SURPRISE * self.spread)
            if 2 * seconds < expected:  # it has recovered: how far it had been off is no spread
                surprise, rate, fresh = min(surprise, seconds / 3), max(rate, RECOVERY), RECOVERY
            self.intercept = max(0.0, self.intercept + rate * error)
            self.spread += max(SPREAD_RATE, fresh) * (surprise - self.spread)
            slope = SLOPE_RATE * error * tokens / (USUAL_TOKENS**2 + float(tokens) ** 2)
            self.per_token = min(max(0.0, self.per_token + slope), PER_TOKEN_MAX)
            level = max(0.0, seconds - self.per_token * tokens)
            slow = LONG_RUN_UP if level > self.long_run else LONG_RUN_DOWN
            self.long_run += max(slow, 1 / (self.samples + 1)) * (level - self.long_run)
        self.samples += 1
        self.at = now

    def at_least(self, *, seconds: float, now: float) -> None:
        """No first token had come after `seconds`."""
        self.intercept = max(self.level(now), seconds)
        self.spread = min(self.spread + 0.05 * seconds, 1.0)
        self.at = now

    def restart(self, *, seconds: float, tokens: int, now: float) -> None:
        """The first token after an outage: what was learned during it says nothing any more."""
        self.intercept = max(0.0, seconds - self.per_token * tokens)
        self.spread = max(0.05, self.intercept / 3)
        self.samples += 1
        self.at = now

    def level(self, now: float) -> float:
        """The intercept as believed now."""
        return self.believed(now)[0]

    def believed(self, now: float) -> tuple[float, float]:
        """(intercept, spread) as believed now: idle time draws them back to the long run."""
        idle = now - self.at
        if idle <= 1.0:
            return self.intercept, self.spread
        keep = exp(-idle / FORGETTING)
        usual, spread = max(0.05, self.long_run / 3), self.spread
        if spread > usual:
            spread = usual + (spread - usual) * keep
        return self.long_run + (self.intercept - self.long_run) * keep, spread
