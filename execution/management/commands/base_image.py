"""`manage.py base_image`: make the image that containers are built from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from execution.builders import base_image
from execution.runtimes import engine


class Command(BaseCommand):
    """Fetches Debian by debootstrap and hands it to the Docker engine."""

    help = "Make the base image of container builds (needs root, debootstrap and a Docker engine)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, or say why not."""
        try:
            client = engine.connect(seconds=600)
        except engine.NoEngine as error:
            raise CommandError(str(error)) from None
        try:
            archive = base_image.tree(folder=Path(settings.VAR) / "base", log=self.stdout.write)
            image = base_image.load(client=client, archive=archive, name=engine.base_image())
        except base_image.CannotMake as error:
            raise CommandError(str(error)) from None
        finally:
            client.close()
        self.stdout.write(f"{engine.base_image()} is {image[:19]}.")
