"""`manage.py price_hardware`: make classes of machines and their prices as a table says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from execution.services import hardware
from marketplace.lib.errors import InvalidRequest


class Command(BaseCommand):
    """Idempotent; a change of price holds for runs that are made from now on."""

    help = "Apply a table of hardware prices (execution/seeds/hardware.yaml, or your own)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which table of which file."""
        parser.add_argument("--table", default="field", help="field (as hosts list them) or article; default field")
        parser.add_argument("--file", type=Path, default=hardware.SEEDS, help="another file of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, apply, say the prices."""
        path: Path = options["file"]
        try:
            lines = hardware.read(path.read_text(encoding="utf-8"), table=options["table"])
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        except InvalidRequest as error:
            raise CommandError(f"{path}: {error.message}") from None
        hardware.apply(lines)
        for line in lines:
            self.stdout.write(f"{line.sku}: ${line.per_second} a second")
