"""Our own workers tell the router how they are: places, what is taken of them, and whether a start comes first.

Each web process asks the hosts' chat doors once a second; what it is told takes the place of what it would learn from
calls. A host that does not answer is judged by its calls, as any provider is.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog
from django.conf import settings

from marketplace import names
from marketplace.lib import crypto, pool
from marketplace.models import Endpoint
from routing.adapters.base import Target
from routing.adapters.capacity import CAPACITY
from routing.canonical import UpstreamError
from routing.services.health import HEALTH
from routing.upstream import SENDER

logger = structlog.get_logger(__name__)

EVERY: Final = 1.0
LISTED_EVERY: Final = 10.0  # a new model is asked after within so many seconds
SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """A host's address, and the endpoints behind it: id -> the version that it serves."""

    target: Target
    endpoints: dict[int, str]


async def run() -> None:
    """For as long as the web process lives. Returns at once where no host of chats can be reached."""
    if not settings.CHAT_PORT and not settings.PRIVATE_ORIGINS:
        return
    listed_at = -LISTED_EVERY
    known: list[Door] = []
    while True:
        try:
            if time.monotonic() - listed_at >= LISTED_EVERY:
                known, listed_at = await pool.run(doors), time.monotonic()
            await asyncio.gather(*map(ask, known))
        except Exception:  # ours: say so, and ask on all the same
            logger.exception("own_workers_not_asked")
        await asyncio.sleep(EVERY)


def doors() -> list[Door]:
    """The hosts that serve chats, with their endpoints."""
    rows = Endpoint.objects.filter(is_active=True, provider__slug__startswith=names.HOSTED).select_related("provider")
    found: dict[str, Door] = {}
    for row in rows:
        try:
            target = Target(row.provider.base_url, row.upstream, row.provider.credentials())
        except crypto.WrongSecret:
            continue
        found.setdefault(target.base_url, Door(target, {})).endpoints[row.pk] = row.upstream
    return list(found.values())


async def ask(door: Door) -> None:
    """Let a host say how it is, and take that in."""
    try:
        said = await SENDER.send(CAPACITY.build(door.target), adapter=CAPACITY, patience=SECONDS)
    except UpstreamError:
        for endpoint_id in door.endpoints:
            HEALTH.know_no_more(endpoint_id)
        return
    for endpoint_id, version in door.endpoints.items():
        slots, taken, cold_seconds = said.of(version)
        HEALTH.know(endpoint_id, slots=slots, taken=taken, cold_seconds=cold_seconds)
