"""Tells other web processes what this one saw of its endpoints, and takes in what they saw; by way of Redis.

One message a second at most, signed, in a stream that is trimmed to what is worth hearing. Redis gives the common
clock. No request waits for any of this: without Redis each process goes by what it sees itself.
"""

import asyncio
import time
from typing import Any, Final

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from routing.selection import reports
from routing.services.health import HEALTH, Health

logger = structlog.get_logger(__name__)

STREAM: Final = "turnpike:health"
FIELD: Final = b"report"
EVERY: Final = 1.0
CLOCK_EVERY: Final = 60.0
BLOCK_MS: Final = 2_000
ANSWER_SECONDS: Final = 6.0  # Redis is gone when it is silent for longer; more than it is asked to block
BATCH: Final = 500
AGAIN_MOST: Final = 5.0


async def run() -> None:
    """For as long as the web process lives. Returns at once where there is no Redis."""
    if settings.REDIS_URL:
        await Sharing(HEALTH, url=settings.REDIS_URL, secret=settings.SECRET_KEY.encode()).run()


class Sharing:
    """One process's mouth and ear."""

    def __init__(self, health: Health, *, url: str, secret: bytes) -> None:
        self._health = health
        self._url = url
        self._secret = secret
        self._ahead = 0.0  # of Redis's clock, before our monotonic one

    async def run(self) -> None:
        """Tell and listen until cancelled, again and again where Redis goes away."""
        pause = EVERY
        while True:
            started = time.monotonic()
            try:
                await self._while_connected()
            except (RedisError, OSError, TimeoutError) as error:
                if time.monotonic() - started > AGAIN_MOST or pause == EVERY:  # once per outage
                    logger.warning("health_not_shared", reason=type(error).__name__)
            except Exception:  # ours: say so, and share on all the same
                logger.exception("health_not_shared")
            pause = EVERY if time.monotonic() - started > AGAIN_MOST else min(2 * pause, AGAIN_MOST)
            await asyncio.sleep(pause)

    async def _while_connected(self) -> None:
        client = Redis.from_url(self._url, socket_connect_timeout=2.0, socket_timeout=ANSWER_SECONDS)
        halves: list[asyncio.Task[None]] = []
        try:
            await self._set_clock(client)
            halves = [asyncio.ensure_future(self._tell(client)), asyncio.ensure_future(self._listen(client))]
            await asyncio.gather(*halves)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            await client.aclose()

    async def _set_clock(self, client: Redis) -> None:
        asked = time.monotonic()
        seconds, micros = await client.time()
        self._ahead = seconds + micros / 1e6 - (asked + time.monotonic()) / 2

    def _at(self) -> float:
        return time.monotonic() + self._ahead

    async def _tell(self, client: Redis) -> None:
        clock_at = time.monotonic() + CLOCK_EVERY
        while True:
            await asyncio.sleep(EVERY)
            report = self._health.report(at=self._at())
            if report is not None:
                # What cannot be sent now is not sent later: it is no news then.
                data = reports.write(report, secret=self._secret)
                oldest = int(1000 * (self._at() - reports.MOST_AGE))
                await client.xadd(STREAM, {FIELD: data}, minid=oldest, approximate=True)
            if time.monotonic() > clock_at:
                await self._set_clock(client)
                clock_at = time.monotonic() + CLOCK_EVERY

    async def _listen(self, client: Redis) -> None:
        # From half a minute ago: a process that starts, or was cut off, learns what the others know.
        last: bytes | str = f"{max(0, int(1000 * (self._at() - reports.MOST_AGE)))}-0"
        while True:
            found: Any = await client.xread({STREAM: last}, count=BATCH, block=BLOCK_MS)
            for _, entries in found or ():
                for number, fields in entries:
                    last = number
                    report = reports.read((fields or {}).get(FIELD, b""), secret=self._secret)
                    if report is not None:
                        self._health.hear(report, at=self._at())
