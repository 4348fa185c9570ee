"""Where hosts answer the gateway for chats: each says so by its own name, so that what it leaves behind is withdrawn.

A host that reports another address takes its chats along. One that has not been seen for LOST_AFTER is withdrawn from
the catalogue until it comes back; meanwhile the other hosts offer its chats (`services/porter`).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import structlog
from django.db import transaction
from django.utils import timezone

from execution.models import Door
from execution.services import chats, copies

logger = structlog.get_logger(__name__)

REPORT_SECONDS: Final = 10.0
# Longer than a worker takes to be started anew; until then the router passes over what does not answer.
LOST_AFTER: Final = dt.timedelta(minutes=2)
FORGOTTEN_AFTER: Final = dt.timedelta(days=30)


def report(*, node: str, now: dt.datetime | None = None) -> None:
    """This host answers at `chats.address()`. `node` is its name, which stays when its worker starts again."""
    now = now or timezone.now()
    address = chats.address()
    with transaction.atomic():
        before = Door.objects.filter(pk=node).first()
        Door.objects.update_or_create(pk=node, defaults={"address": address, "seen_at": now, "is_lost": False})
        if before is None or before.is_lost or before.address != address:
            chats.come_back()
        if before is not None and before.address != address:
            _move(before.address, now)


def _move(old: str, now: dt.datetime) -> None:
    """What is built here is offered at the new address before the old one is withdrawn; the porter brings the rest."""
    for version in chats.offered_elsewhere():
        if copies.is_here(version):
            chats.offer_here(version=version)
    if not _answers(old, now):
        logger.info("chat_door_moved", withdrawn=chats.retire(address=old))


def withdraw_lost(*, now: dt.datetime) -> int:
    """Withdraw the chats of hosts that nobody has seen for a while. How many endpoints."""
    withdrawn = 0
    for door in Door.objects.filter(is_lost=False, seen_at__lt=now - LOST_AFTER):
        with transaction.atomic():
            lost = Door.objects.filter(pk=door.pk, is_lost=False, seen_at=door.seen_at).update(is_lost=True)
            if lost and not _answers(door.address, now):
                withdrawn += chats.retire(address=door.address)
                logger.warning("chat_door_lost", node=door.pk, seen_at=door.seen_at.isoformat())
    Door.objects.filter(is_lost=True, seen_at__lt=now - FORGOTTEN_AFTER).delete()
    return withdrawn


def _answers(address: str, now: dt.datetime) -> bool:
    """Whether a host that lives answers there: another worker may have taken the port over, or all be one machine."""
    return Door.objects.filter(address=address, is_lost=False, seen_at__gte=now - LOST_AFTER).exists()
