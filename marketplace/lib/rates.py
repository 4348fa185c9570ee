"""How often something may be done in a minute, counted in the cache: all web processes together where it is Redis."""

from __future__ import annotations

import time
from typing import Final

from django.core.cache import cache

from marketplace.lib.errors import RateLimited

PERIOD_SECONDS: Final = 60


def take(name: str, *, limit: int, now: float | None = None) -> None:
    """Count one more of `name` in this minute. Raises RateLimited, with Retry-After, past the limit."""
    moment = time.time() if now is None else now
    minute, gone = divmod(int(moment), PERIOD_SECONDS)
    key = f"rate:{name}:{minute}"
    cache.add(key, 0, timeout=2 * PERIOD_SECONDS)
    try:
        count = cache.incr(key)
    except ValueError:  # it fell out of the cache between the two: nothing is known, nothing is refused
        return
    if count > limit:
        left = PERIOD_SECONDS - gone
        raise RateLimited(
            f"Request was throttled. Expected available in {left} second{'' if left == 1 else 's'}.",
            headers={"Retry-After": str(left), "RateLimit-Remaining": "0", "RateLimit-Reset": str(left)},
        )
