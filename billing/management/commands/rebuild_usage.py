"""manage.py rebuild_usage: make the hourly sums again from the charges."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from billing.services import rollups


class Command(BaseCommand):
    """For after a charge was restored by hand, or when check_invariants finds an hour that is wrong."""

    help = "Throw the hourly usage sums away and make them again from the charges, in one transaction."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild; readers see the old sums until it commits."""
        count = rollups.rebuild()
        self.stdout.write(f"{count} hourly sums, up to {rollups.closed_until():%Y-%m-%d %H:%M} UTC.")
