"""manage.py stripe_sync: meters, prices and subscriptions at Stripe as our books have them; twice changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.services import metering, subscriptions
from marketplace.lib.errors import AppError


class Command(BaseCommand):
    """To be run after the keys are set, after hardware classes were added and after a credit limit was set."""

    help = "Make what post-paid accounts need at Stripe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether refused usage is to be sent again."""
        parser.add_argument("--retry", action="store_true", help="send usage again that Stripe refused")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, say what was done."""
        try:
            done = subscriptions.sync()
        except AppError as error:
            raise CommandError(error.message) from None
        for line in done:
            self.stdout.write(line)
        if options["retry"]:
            self.stdout.write(f"{metering.retry()} rows will be sent again.")
        self.stdout.write(f"{len(done)} changes.")
