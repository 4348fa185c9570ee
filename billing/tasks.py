"""Billing's background work."""

from __future__ import annotations

from typing import Any

import structlog
from celery import shared_task

from billing import invariants
from billing.services import balances, rollups

logger = structlog.get_logger(__name__)


@shared_task(name="billing.check_invariants")
def check_invariants(**_: Any) -> None:
    """Say loudly when the books are not as they must be."""
    for violation in invariants.run():
        logger.error("invariant_violated", check=violation.check, detail=violation.detail)


@shared_task(name="billing.advance_balances")
def advance_balances(**_: Any) -> None:
    """Carry the balances of providers, publishers and the house forward."""
    balances.advance()


@shared_task(name="billing.close_hours")
def close_hours(**_: Any) -> None:
    """Sum up the usage of hours that have ended."""
    rollups.close()
