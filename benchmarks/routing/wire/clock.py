"""A process whose clock runs faster, so that deadlines, pauses and rests of minutes take seconds.

Everything in the process agrees on it: `time.monotonic`, and with it asyncio's sleeps and timeouts. What counts by
itself (the HTTP client's own last deadline) keeps real time.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

REAL = time.monotonic


def hurry(times: float) -> None:
    """Let this process's clock run so many times as fast. To be called before modules are imported that keep it."""
    time.monotonic = lambda: REAL() * times


class _Selector(selectors.DefaultSelector):
    """Waits as long as a hurried clock means it."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self._times = times

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else timeout / self._times)


def run(main: Coroutine[Any, Any, Result], *, times: float) -> Result:
    """Run this on a loop of a hurried process."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Selector(times))) as runner:
        return runner.run(main)
