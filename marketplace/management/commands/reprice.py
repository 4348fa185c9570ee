"""manage.py reprice --from-cost: prices of which the provider's share covers what it invoices."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.lib.errors import AppError
from marketplace.services import repricing


class Command(BaseCommand):
    """Price = cost x 10000 / the provider's share (9500), rounded up."""

    help = "Set prices from costs, so that no request loses money."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From what, and for whom."""
        parser.add_argument("--from-cost", action="store_true", required=True, help="from what providers invoice")
        parser.add_argument("--provider", default="", help="only this provider's endpoints")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reprice, and say what changed."""
        dry_run: bool = options["dry_run"]
        try:
            done = repricing.from_cost(provider=options["provider"], dry_run=dry_run)
        except AppError as error:
            raise CommandError(error.message) from None
        for change in done.changed:
            self.stdout.write(str(change))
        count = len(done.changed)
        self.stdout.write(f"{count} changes to make; nothing was changed." if dry_run else f"{count} changes.")
