"""`manage.py seed_examples`: publish the examples that this host can build, one after the other."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from execution.package import PackageError
from execution.services import showcase
from marketplace.lib.errors import AppError
from marketplace.models import Account


class Command(BaseCommand):
    """Idempotent: what is published and shown stays; what failed is tried again."""

    help = "Publish the example models that this host can build, each with a first prediction; needs a running worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose models they become."""
        parser.add_argument("--account", default="demo", help="the account's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """One line for each example; one that fails keeps none of the others from its turn."""
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}.")
        folder = Path(settings.BASE_DIR) / "examples"
        for example in showcase.read(folder):
            try:
                told = showcase.present(account=account, example=example, folder=folder)
            except (AppError, PackageError) as error:
                told = f"failed: {error}"
            self.stdout.write(f"{example.folder}: {told}")
            self.stdout.flush()
