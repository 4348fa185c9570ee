"""Routing's background work."""

from typing import Any
from uuid import UUID

from celery import shared_task

from marketplace.services import listings
from routing.services import days, probes, sweeping, video_upkeep, video_webhooks


@shared_task(name="routing.sweep")
def sweep(**_: Any) -> None:
    """End the generations whose process is gone."""
    sweeping.sweep()


@shared_task(name="routing.fetch_listings")
def fetch_listings(**_: Any) -> None:
    """Fetch the providers' lists whose time has come."""
    listings.fetch_due()


@shared_task(name="routing.probe_endpoints")
def probe_endpoints(**_: Any) -> None:
    """Probe the endpoints that wait for it."""
    probes.run_due()


@shared_task(name="routing.count_days")
def count_days(**_: Any) -> None:
    """Count what became of endpoints' calls, day by day."""
    days.count()


@shared_task(name="routing.ring_videos")
def ring_videos(**_: Any) -> None:
    """Ring for the films whose time to be looked at has come, and for their webhooks."""
    video_upkeep.ring()


@shared_task(name=video_upkeep.TASK)
def look_at_video(job_id: str, **_: Any) -> None:
    """Ask a provider how its film stands."""
    video_upkeep.look(job_id=UUID(job_id))


@shared_task(name=video_webhooks.TASK)
def tell_of_video(job_id: str, **_: Any) -> None:
    """Tell of a film's end."""
    video_webhooks.tell(job_id=UUID(job_id))
