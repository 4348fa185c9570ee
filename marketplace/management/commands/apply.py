"""manage.py apply catalogue.yaml: make the catalogue as a file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.catalogue.reader import BadCatalogue
from marketplace.services import catalog


class Command(BaseCommand):
    """Validate with line numbers, then apply; a second time changes nothing."""

    help = "Apply a catalogue file of providers, models, endpoints and prices."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--check", action="store_true", help="only validate")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, check, apply, say what changed."""
        path: Path = options["file"]
        try:
            catalogue = catalog.read(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        except BadCatalogue as error:
            raise CommandError(f"{path} has mistakes, nothing was changed:\n  " + "\n  ".join(error.problems)) from None
        if options["check"]:
            self.stdout.write(f"{path} is sound.")
            return
        dry_run: bool = options["dry_run"]
        done = catalog.apply(catalogue, dry_run=dry_run)
        for warning in done.warnings:
            self.stderr.write(f"warning: {warning}")
        for change in done.changed:
            self.stdout.write(str(change))
        count = len(done.changed)
        self.stdout.write(f"{count} changes to make; nothing was changed." if dry_run else f"{count} changes.")
