"""Routing's background work."""

from typing import Any

from celery import shared_task

from routing.services import sweeping


@shared_task(name="routing.sweep")
def sweep(**_: Any) -> None:
    """End the generations whose process is gone."""
    sweeping.sweep()
