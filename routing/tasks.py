"""Routing's background work."""

from typing import Any

from celery import shared_task

from marketplace.services import listings
from routing.services import probes, sweeping


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
