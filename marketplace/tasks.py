"""The floor's tasks: thin, by name, tolerant of arguments they do not know."""

from __future__ import annotations

import re
from typing import Any

from celery import shared_task
from django.conf import settings

from marketplace.services import watches


@shared_task(name="marketplace.answer")
def answer(*, nonce: str, **_: Any) -> None:
    """Show that a worker takes tasks from the broker: leave a file that the asker looks for."""
    if re.fullmatch(r"[0-9a-f]{32}", nonce):
        (settings.VAR / "run" / f"answer-{nonce}").touch()


@shared_task(name="marketplace.tell_prices")
def tell_prices(**_: Any) -> None:
    """Mail those who watch models whose prices changed."""
    watches.tell_due()
