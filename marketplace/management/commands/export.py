"""manage.py export [catalogue.yaml]: the catalogue as a file that `apply` reads."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.lib.errors import AppError
from marketplace.services import catalog_export


class Command(BaseCommand):
    """Secrets are written as env:NAME or kept:FINGERPRINT; applying the file here changes nothing."""

    help = "Write the catalogue of providers, models, endpoints and prices as a file for `apply`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to, and which providers."""
        parser.add_argument("file", type=Path, nargs="?", help="where to write it; standard output unless said")
        parser.add_argument("--provider", action="append", default=[], help="only this one; may be said again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export, and write."""
        try:
            text = catalog_export.export(providers=frozenset(options["provider"]))
        except AppError as error:
            raise CommandError(error.message) from None
        path: Path | None = options["file"]
        if path is None:
            self.stdout.write(text, ending="")
            return
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
