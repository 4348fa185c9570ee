"""`manage.py simulate_provider`: a provider on this machine, with faults on order."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from routing.simulation import program


class Command(BaseCommand):
    """Serves until it is stopped. What it says is made up and says so."""

    help = program.HELP
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        program.add_flags(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        program.serve(options, say=self.stdout.write)
