"""Ending the generations whose process is gone: their heartbeat has stopped."""

import datetime as dt
from typing import Final

import structlog
from django.utils import timezone

from marketplace.lib import env
from marketplace.models import Provider
from routing.models import Generation
from routing.services import settlement

logger = structlog.get_logger(__name__)

SILENT_FOR: Final = dt.timedelta(milliseconds=env.integer("GENERATION_SILENT_MS", 15_000, minimum=1_000))
AT_ONCE: Final = 500


def sweep(*, now: dt.datetime | None = None, silent_for: dt.timedelta = SILENT_FOR) -> int:
    """Settle or release every generation that has been silent for so long; how many there were.

    The hold's compare-and-set decides between two sweepers, and between a sweeper and a process that
    was only slow.
    """
    silent_since = (now or timezone.now()) - silent_for
    silent = list(
        Generation.objects.filter(status__in=Generation.LIVE, heartbeat_at__lt=silent_since).order_by("heartbeat_at")[
            :AT_ONCE
        ]
    )
    owners = dict(Provider.objects.filter(pk__in={one.provider_id for one in silent}).values_list("pk", "account_id"))
    for generation in silent:
        owner = owners.get(generation.provider_id) if generation.provider_id else None
        bill = settlement.sweep(generation, provider_account_id=owner)
        logger.info("generation_swept", generation=str(generation.pk), charged_nano=bill.cost_nano if bill else 0)
    return len(silent)
