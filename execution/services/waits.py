"""Waiting for predictions to end without holding a thread or a connection.

One watcher per event loop asks the database for all that is waited for, in one query, every tenth of a second
while somebody waits, and wakes the futures.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from execution.models import Prediction
from execution.states import LIVE
from marketplace.lib import pool

logger = structlog.get_logger(__name__)

INTERVAL: Final = 0.1
_BATCH: Final = 500


class _Watch:
    """The futures of one event loop and the task that looks after them."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[asyncio.Future[None]]] = {}
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        while self.waiting:
            await asyncio.sleep(INTERVAL)
            wanted = list(self.waiting)
            try:
                for start in range(0, len(wanted), _BATCH):
                    self._wake(await pool.run(_over, wanted[start : start + _BATCH]))
            except Exception:
                # The database may be away for a moment; those who wait have their own time limit.
                logger.exception("wait_poll_failed")
                await asyncio.sleep(1)
        self.task = None

    def _wake(self, over: list[str]) -> None:
        for prediction_id in over:
            for future in self.waiting.get(prediction_id, ()):
                if not future.done():
                    future.set_result(None)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def _over(prediction_ids: list[str]) -> list[str]:
    live = set(Prediction.objects.filter(pk__in=prediction_ids, status__in=LIVE).values_list("pk", flat=True))
    return [one for one in prediction_ids if one not in live]


async def until_over(prediction_id: str, *, seconds: float) -> bool:
    """Wait until the prediction has ended; False when the time is over first."""
    loop = asyncio.get_running_loop()
    watch = _watches.setdefault(loop, _Watch())
    future: asyncio.Future[None] = loop.create_future()
    watch.waiting.setdefault(prediction_id, set()).add(future)
    if watch.task is None:
        watch.task = loop.create_task(watch.run())
    try:
        async with asyncio.timeout(seconds):
            await future
    except TimeoutError:
        return False
    else:
        return True
    finally:
        futures = watch.waiting[prediction_id]
        futures.discard(future)
        if not futures:
            del watch.waiting[prediction_id]
