"""`manage.py official demo/hello-text --warm 1`: make a hosted model official and keep it warm."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from execution.services import official
from marketplace.lib.errors import AppError
from marketplace.models import Model


class Command(BaseCommand):
    """Staff's decision: also on their page of models."""

    help = "Make a hosted model official, with instances that the platform keeps warm; or --unmark it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which model, and how many instances."""
        parser.add_argument("model", help="owner/name")
        parser.add_argument(
            "--warm", type=int, default=1, help="instances kept warm, at no wallet's expense; default 1"
        )
        parser.add_argument("--unmark", action="store_true", help="make it a model as any other again")

    def handle(self, *_: Any, **options: Any) -> None:
        """Change it and say how it is now."""
        model = Model.objects.select_related("publisher").named(options["model"]).first()
        if model is None:
            raise CommandError(f"There is no model {options['model']}.")
        if options["unmark"]:
            official.unmark(model=model)
            self.stdout.write(f"{model.full_slug} is not official.")
            return
        try:
            official.mark(model=model, warm_instances=options["warm"])
        except AppError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{model.full_slug} is official, {options['warm']} kept warm.")
