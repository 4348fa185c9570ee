"""Celery's doorbells: each looks into the database for what there is to do."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup, worker_ready, worker_shutting_down

from execution.services import (
    build_runs,
    builds,
    doorbell,
    host,
    keeper,
    machine,
    retention,
    runs,
    upkeep,
    versions,
    webhooks,
)
from execution.services.hosts import Worker
from marketplace.lib.errors import Unavailable


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def _own_queue(node: str) -> str:
    """By the worker's node name, which stays when it starts again: its queue does not pile up."""
    return "at-" + re.sub(r"[^a-zA-Z0-9.-]", "-", node)[:100]


@shared_task(name="execution.run_prediction")
def run_prediction(*, prediction_id: str, **_: Any) -> None:
    """Run a prediction where a slot is free, then others that wait."""
    runs.work(agent=host.agent(), prediction_id=prediction_id, hardware=machine.hardware(), owner=_owner())


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


@celeryd_after_setup.connect
def _listen(sender: str, instance: Any, **_: Any) -> None:
    """A queue that only this worker listens to, where `services.hosts` rings; a host of GPUs takes its class's work."""
    queues = instance.app.amqp.queues
    queues.select_add(_own_queue(sender))
    try:
        offered = machine.hardware()
    except Unavailable as error:  # what is raised here is only logged, and the worker would live on with nothing to do
        raise SystemExit(error.message) from None
    if offered != machine.CPU:
        queues.select_add(f"hw-{offered}")
        queues.deselect([f"hw-{machine.CPU}"])


@worker_ready.connect
def _open_agent(sender: Any, **_: Any) -> None:
    worker = Worker(name=_owner(), hardware=machine.hardware(), queue=_own_queue(sender.hostname))
    keeper.start(agent=host.agent(), worker=worker)
    host.open_chat_door()
    queues = sender.app.amqp.queues.consume_from
    doorbell.start(agent=host.agent(), hardware=machine.hardware(), owner=_owner(), queues=queues)


@worker_shutting_down.connect
def _close_agent(**_: Any) -> None:
    doorbell.stop()
    host.drain()
    keeper.stop()
