"""`manage.py publish examples/detect-shapes --account demo --name detect-shapes`: build a folder here and now."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from execution.models import Build
from execution.services import folders
from marketplace.lib.errors import AppError
from marketplace.models import Account


class Command(BaseCommand):
    """Publish a folder; the same content again is the same version, at once."""

    help = "Build a folder with cog.yaml and publish it as an account's model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Folder, account, name."""
        parser.add_argument("folder", type=Path)
        parser.add_argument("--account", required=True, help="the account's slug")
        parser.add_argument("--name", default="", help="the model's name; the folder's unless given")
        parser.add_argument("--title", default="", help="the model's title")
        parser.add_argument("--description", default="")

    def handle(self, *_: Any, **options: Any) -> None:
        """Prints the version's address."""
        folder: Path = options["folder"]
        slug = options["name"] or folder.resolve().name
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}.")
        try:
            version = folders.publish(
                account=account,
                slug=slug,
                folder=folder,
                name=options["title"],
                description=options["description"],
            )
        except AppError as error:
            build = Build.objects.for_account(account.pk).filter(model__slug=slug).first()
            log = build.log if build is not None and build.status == "failed" else ""
            raise CommandError(f"{log}\n{error.message}".strip()) from None
        self.stdout.write(f"{account.slug}/{slug}:{version.pk}")
