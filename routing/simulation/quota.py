"""How many requests a simulated provider takes, and what its answers say of that, in the dialect's own headers."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from routing.simulation.exchange import Headers

MINUTE: Final = 60.0


class Quota:
    """A bucket of so many requests that fills steadily over `period` seconds; one of 0 takes everything."""

    def __init__(self, most: int, *, period: float = MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._period = period
        self._clock = clock
        self._left = float(most)
        self._at = clock()

    def take(self) -> bool:
        """Whether one more request is taken; it is counted."""
        if not self.most:
            return True
        now = self._clock()
        self._left = min(self.most, self._left + (now - self._at) * self.most / self._period)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def retry_after(self) -> float:
        """Whole seconds until the next is taken."""
        return float(math.ceil(max(0.0, 1 - self._left) * self._period / max(1, self.most)))

    def headers(self, dialect: str) -> Headers:
        """What every answer says of it."""
        if not self.most:
            return []
        seconds = (self.most - self._left) * self._period / self.most
        numbers = {"limit": str(self.most), "remaining": str(int(self._left))}
        if dialect == "anthropic":
            whole = datetime.now(UTC) + timedelta(seconds=math.ceil(seconds))
            said = {**numbers, "reset": whole.strftime("%Y-%m-%dT%H:%M:%SZ")}
            return [(f"anthropic-ratelimit-requests-{name}".encode(), value.encode()) for name, value in said.items()]
        said = {**numbers, "reset": f"{round(1000 * seconds)}ms" if seconds < 1 else f"{seconds:.3f}s"}
        return [(f"x-ratelimit-{name}-requests".encode(), value.encode()) for name, value in said.items()]
