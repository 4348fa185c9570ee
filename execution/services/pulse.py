"""What goes on beside a run: its lease and its hold are renewed, and what its build tells becomes its log."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from django.db import close_old_connections, connection

from execution import limits, texts
from execution.services import attempts
from execution.services.attempts import Attempt

logger = structlog.get_logger(__name__)

PROGRESS_SECONDS: Final = 1.0


class Progress:
    """What making a build tells, as the run's log until the model begins with its own."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._lines: list[str] = []
        self._told_at = float("-inf")

    def __call__(self, line: str) -> None:
        self._lines.append(f"{texts.text(line)}\n")
        if time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            attempts.write(self._attempt, logs="".join(self._lines)[: limits.MAX_LOG_CHARACTERS])


class Pulse:
    """A thread beside a run: sees a lost claim within half a second, renews lease and hold every two seconds."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._over = threading.Event()
        self._lost = threading.Event()
        self._started_at: float | None = None
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{attempt.prediction_id}", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def run_started(self) -> None:
        """Run time, and with it what must be paid ahead, counts from now."""
        self._started_at = time.monotonic()

    def lose(self) -> None:
        """The claim is lost: the run is to stop."""
        self._lost.set()

    def is_lost(self) -> bool:
        """Whether the run is to stop: canceled, given to another, or no longer paid."""
        return self._lost.is_set()

    def _beat(self) -> None:
        # The claim has just been made: a short run ends before there is anything to look at or to renew.
        last_success = time.monotonic()
        next_beat = last_success + limits.HEARTBEAT_SECONDS
        try:
            while not self._over.wait(limits.WATCH_SECONDS) and not self._lost.is_set():
                try:
                    now = time.monotonic()
                    if now >= next_beat:
                        elapsed = None if self._started_at is None else int((now - self._started_at) * 1000)
                        alive = attempts.heartbeat(self._attempt, elapsed_ms=elapsed)
                        next_beat = now + limits.HEARTBEAT_SECONDS
                    else:
                        alive = attempts.is_mine(self._attempt)
                    last_success = now
                    if not alive:
                        self._lost.set()
                except Exception:
                    # The database is away: the run may go on for as long as its lease holds.
                    logger.exception("heartbeat_failed", prediction=self._attempt.prediction_id)
                    close_old_connections()
                    if time.monotonic() - last_success > limits.LEASE.total_seconds():
                        self._lost.set()
        finally:
            connection.close()
