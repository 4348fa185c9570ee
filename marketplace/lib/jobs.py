"""Ringing the doorbell of a Celery task, by name, once the transaction has committed.

The database is the record of work; a message only makes it prompt. A broker that is down is
therefore logged and not an error: the poller finds the work (house.md, "the way of one prediction").
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = structlog.get_logger(__name__)


def enqueue(name: str, *, queue: str = "default", **kwargs: Any) -> None:
    """Send the task `name` with plain keyword ids after the current transaction commits."""
    transaction.on_commit(lambda: send(name, queue=queue, **kwargs))


def send(name: str, *, queue: str = "default", **kwargs: Any) -> None:
    """Send at once; a broker that cannot be reached is logged."""
    try:
        current_app.send_task(name, kwargs=kwargs, queue=queue, ignore_result=True, retry=False, expires=60)
    except (OperationalError, OSError) as error:
        logger.warning("doorbell_failed", task=name, error=str(error))
