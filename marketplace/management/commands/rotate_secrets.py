"""Encrypt every stored credential anew with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.services import rotation


class Command(BaseCommand):
    """Run it after putting a new key in front; then the old one may go."""

    help = "Encrypt every stored credential anew with the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, and fail when a credential opens with no key."""
        done, lost = rotation.rotate()
        self.stdout.write(f"{done} credentials encrypted anew.")
        if lost:
            raise CommandError(
                f"{lost} credentials open with none of ENCRYPTION_KEYS: put their key back, or set them again."
            )
