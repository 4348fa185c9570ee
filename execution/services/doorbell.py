"""The worker's end of the doorbell: predictions made on this host are begun at once, not when the broker is next asked.

What is not begun by a ring is begun by Celery: the poller sends a message for whatever waits unclaimed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from queue import SimpleQueue
from typing import Final

import structlog
from django.db import close_old_connections, connection

from execution.agent.agent import Agent
from execution.services import runs
from marketplace.lib.bells import Bell
from marketplace.models import Hardware

logger = structlog.get_logger(__name__)

THREADS: Final = 16  # as many as the worker has for Celery's messages
CLOSE_SECONDS: Final = 2.0


class Doorbell:
    """Listens for predictions of one hardware queue and runs them with the agent's free slots."""

    def __init__(self, *, agent: Agent, hardware: str, queue: str, owner: str) -> None:
        self._agent, self._hardware, self._owner = agent, hardware, owner
        self._bell = Bell(queue)
        self._rung: SimpleQueue[str] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._workers: list[threading.Thread] = []
        self._listener = threading.Thread(target=self._listen, name="doorbell", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while prediction_id := self._bell.wait():
            self._rung.put(prediction_id)
            if not self._idle.acquire(blocking=False) and len(self._workers) < THREADS:
                self._hire()
        for _ in self._workers:
            self._rung.put("")

    def _hire(self) -> None:
        """One more worker, only when all are busy: the fewer there are, the warmer is each one's connection."""
        name = f"doorbell-{len(self._workers)}"
        worker = threading.Thread(target=self._serve, name=name, daemon=True)
        self._workers.append(worker)
        worker.start()

    def _serve(self) -> None:
        """One worker: its connection to the database is kept from one prediction to the next."""
        try:
            while prediction_id := self._rung.get():
                self._work(prediction_id)
                self._idle.release()
        finally:
            connection.close()

    def _work(self, prediction_id: str) -> None:
        close_old_connections()
        try:
            runs.work(agent=self._agent, prediction_id=prediction_id, hardware=self._hardware, owner=self._owner)
        except Exception:
            # Claimed or not: the lease that runs out, or the poller's ring, brings it back.
            logger.exception("doorbell_failed", prediction=prediction_id)
            close_old_connections()

    def close(self) -> None:
        """Begin nothing more; what runs goes on to its end."""
        self._bell.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in (self._listener, *self._workers):
            thread.join(max(0.0, deadline - time.monotonic()))


_doorbell: Doorbell | None = None


def start(*, agent: Agent, hardware: str, owner: str, queues: Collection[str]) -> None:
    """Listen from now on, where this worker takes the hardware's queue."""
    global _doorbell
    queue = Hardware(sku=hardware).queue
    if queue not in queues:
        return
    try:
        _doorbell = Doorbell(agent=agent, hardware=hardware, queue=queue, owner=owner)
    except OSError as error:
        logger.warning("no_doorbell", reason=str(error))


def stop() -> None:
    """Begin nothing more by a ring."""
    if _doorbell is not None:
        _doorbell.close()
