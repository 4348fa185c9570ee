"""Celery's doorbells: each looks into the database for what there is to do."""

from __future__ import annotations

import os
import socket
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down

from execution.services import build_runs, builds, host, keeper, retention, runs, upkeep, versions, webhooks


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


@shared_task(name="execution.run_prediction")
def run_prediction(*, prediction_id: str, **_: Any) -> None:
    """Run a prediction where a slot is free, then others that wait."""
    runs.work(agent=host.agent(), prediction_id=prediction_id, hardware=host.hardware(), owner=_owner())


@shared_task(name="execution.build_version")
def build_version(*, build_id: str, **_: Any) -> None:
    """Build an upload."""
    build_runs.work(build_id=build_id, owner=_owner())


@shared_task(name="execution.remove_build")
def remove_build(*, version_id: str, **_: Any) -> None:
    """Remove a deleted version's build from this host."""
    versions.remove_build(version_id=version_id)


@shared_task(name="execution.deliver_webhook")
def deliver_webhook(*, prediction_id: str, **_: Any) -> None:
    """Tell a prediction's owner of its end."""
    webhooks.deliver(prediction_id=prediction_id)


@shared_task(name="execution.poll")
def poll(**_: Any) -> None:
    """The second hand: lost workers, deadlines, unclaimed work."""
    upkeep.poll()
    builds.poll()


@shared_task(name="execution.remove_old_data")
def remove_old_data(**_: Any) -> None:
    """Remove what is past its retention."""
    retention.remove_old_data()


@worker_ready.connect
def _open_agent(**_: Any) -> None:
    keeper.start(agent=host.agent(), hardware=host.hardware(), worker=_owner())
    host.open_chat_door()


@worker_shutting_down.connect
def _close_agent(**_: Any) -> None:
    host.drain()
    keeper.stop()
