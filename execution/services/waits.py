"""Waiting for predictions to end, or to change, without holding a thread or a connection.

One watcher per event loop asks the database for all that is waited for, in one query, and wakes the futures: every
tenth of a second while somebody waits, and at once when a process of this host rings that one of them has changed.
That one has ended it believes without a look: only our own processes can ring, and they ring when it is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from execution.models import Prediction
from execution.states import LIVE
from marketplace.lib import bells, pool

logger = structlog.get_logger(__name__)

INTERVAL: Final = 0.1
LEAST: Final = 0.002  # between two looks, however many bells ring
TOPIC: Final = "predictions"
_OVER: Final = "over"
_BATCH: Final = 500


@dataclass(eq=False, slots=True)
class _Waiter:
    """One who waits: for the end, or (`seen` is a revision) for any change after it."""

    future: asyncio.Future[None]
    seen: int | None

    def is_due(self, *, over: bool, revision: int) -> bool:
        return over or (self.seen is not None and revision != self.seen)


class _Watch:
    """The waiters of one event loop and the task that looks after them."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[_Waiter]] = {}
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            with _rung(self) as rung:
                await self._look_until_nobody_waits(rung)
        finally:
            self.task = None

    async def _look_until_nobody_waits(self, rung: asyncio.Event) -> None:
        while self.waiting:
            rung.clear()
            wanted = list(self.waiting)
            try:
                for start in range(0, len(wanted), _BATCH):
                    batch = wanted[start : start + _BATCH]
                    self._wake(batch, await pool.run(_live, batch))
            except Exception:
                # The database may be away for a moment; those who wait have their own time limit.
                logger.exception("wait_poll_failed")
                await asyncio.sleep(1)
            if self.waiting:
                await asyncio.sleep(LEAST)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), INTERVAL)

    def told(self, words: set[str]) -> bool:
        """What was rung: an end needs no look. Whether one is needed for the rest."""
        rung = [word.partition(" ") for word in words]
        ended = [prediction_id for prediction_id, _, said in rung if said == _OVER]
        self._wake(ended, {})
        return any(prediction_id in self.waiting for prediction_id, _, said in rung if said != _OVER)

    def _wake(self, asked: list[str], live: dict[str, int]) -> None:
        for prediction_id in asked:
            for waiter in self.waiting.get(prediction_id, ()):
                due = waiter.is_due(over=prediction_id not in live, revision=live.get(prediction_id, 0))
                if due and not waiter.future.done():
                    waiter.future.set_result(None)


@contextlib.contextmanager
def _rung(watch: _Watch) -> Iterator[asyncio.Event]:
    """Set whenever something that is waited for has changed on this host; never, where it cannot listen."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    try:
        bell = bells.Bell(TOPIC)
    except OSError as error:
        logger.warning("bell_failed", reason=str(error))
        yield event
        return

    def listen() -> None:
        if watch.told(bell.heard()):
            event.set()

    loop.add_reader(bell.socket, listen)
    try:
        yield event
    finally:
        loop.remove_reader(bell.socket)
        bell.close()


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def ring_later(prediction_id: str, *, over: bool = False) -> None:
    """Tell those who wait on this host that it has changed, or has ended, once the transaction has committed."""
    bells.ring_later(TOPIC, f"{prediction_id} {_OVER}" if over else prediction_id)


def _live(prediction_ids: list[str]) -> dict[str, int]:
    """Those that have not ended, with their revisions."""
    rows = Prediction.objects.filter(pk__in=prediction_ids, status__in=LIVE)
    return dict(rows.values_list("pk", "revision"))


async def until_over(prediction_id: str, *, seconds: float) -> bool:
    """Wait until the prediction has ended; False when the time is over first."""
    return await _wait(prediction_id, seen=None, seconds=seconds)


async def until_changed(prediction_id: str, *, seen: int, seconds: float) -> bool:
    """Wait until the prediction has another revision than `seen`, or has ended; False when the time is over first."""
    return await _wait(prediction_id, seen=seen, seconds=seconds)


async def _wait(prediction_id: str, *, seen: int | None, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    watch = _watches.setdefault(loop, _Watch())
    waiter = _Waiter(loop.create_future(), seen)
    watch.waiting.setdefault(prediction_id, set()).add(waiter)
    if watch.task is None:
        watch.task = loop.create_task(watch.run())
    try:
        async with asyncio.timeout(seconds):
            await waiter.future
    except TimeoutError:
        return False
    else:
        return True
    finally:
        waiters = watch.waiting[prediction_id]
        waiters.discard(waiter)
        if not waiters:
            del watch.waiting[prediction_id]
