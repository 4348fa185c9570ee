"""Billing's background work."""

from __future__ import annotations

from typing import Any

import structlog
from celery import shared_task

from billing import invariants

logger = structlog.get_logger(__name__)


@shared_task(name="billing.check_invariants")
def check_invariants(**_: Any) -> None:
    """Say loudly when the books are not as they must be."""
    for violation in invariants.run():
        logger.error("invariant_violated", check=violation.check, detail=violation.detail)
