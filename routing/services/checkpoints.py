"""What is alive in this process, written down every quarter of a second by one task.

A stream counts what it delivers in memory; the task writes the counts and heartbeats of all of them in a
few statements. When the process dies, the sweeper ends its generations from what was written last.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.utils import timezone

from marketplace.lib import pool
from routing.models import Generation
from routing.selection.candidates import INSTANCE_MS
from routing.services.routes import Route

logger = structlog.get_logger(__name__)

EVERY: Final = 0.25
HEARTBEAT: Final = 2.0


@dataclass(slots=True, eq=False)
class Live:
    """One running generation. `route` is set once an endpoint has begun to answer."""

    generation_id: UUID
    route: Route | None = None
    delivered_bytes: int = 0
    is_lost: bool = False  # the sweeper took it: nothing more may be delivered on its account
    written_bytes: int = field(default=-1)
    answered_at: float = 0.0  # on the monotonic clock, when the endpoint began to answer

    def ran(self) -> dict[str, int]:
        """What a sweeper charges where time is charged: since the answer began, and not for a start ahead of it."""
        return {INSTANCE_MS: round((time.monotonic() - self.answered_at) * 1000)}


class Checkpoints:
    """The running generations of this process."""

    def __init__(self) -> None:
        self._live: dict[UUID, Live] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, live: Live) -> None:
        """Write this one's progress from now on. Call on the event loop."""
        self._live[live.generation_id] = live
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.ensure_future(self._run())

    def forget(self, live: Live) -> None:
        """It has ended."""
        self._live.pop(live.generation_id, None)

    @property
    def is_busy(self) -> bool:
        """Whether anything runs."""
        return bool(self._live)

    async def _run(self) -> None:
        beat_at = time.monotonic() + HEARTBEAT
        while self._live:
            await asyncio.sleep(EVERY)
            beats = time.monotonic() >= beat_at
            if beats:
                beat_at = time.monotonic() + HEARTBEAT
            try:
                await self.flush(beats=beats)
            except DatabaseError:
                logger.exception("checkpoint_failed", live=len(self._live))

    async def flush(self, *, beats: bool = True) -> None:
        """Write what has changed, and the heartbeats where it is time."""
        live = list(self._live.values())
        changed = [(one, one.delivered_bytes) for one in live if one.route and one.delivered_bytes != one.written_bytes]
        if not changed and not (beats and live):
            return
        alive = await pool.run(_write, changed, [one.generation_id for one in live] if beats else [])
        for one, written in changed:
            one.written_bytes = written
        if alive is not None:
            for one in live:
                one.is_lost = one.generation_id not in alive and one.generation_id in self._live


def _write(changed: list[tuple[Live, int]], beating: list[UUID]) -> set[UUID] | None:
    """Write counts and heartbeats; of those that beat, the ids that are still ours."""
    now = timezone.now()
    rows: list[Generation] = []
    for one, delivered in changed:
        if one.written_bytes < 0 and one.route is not None:
            _write_opening(one, one.route, delivered)
        else:
            rows.append(Generation(pk=one.generation_id, delivered_bytes=delivered, heartbeat_at=now))
    ours = Generation.objects.filter(status__in=Generation.LIVE)
    for one, _ in changed:
        if one.route is not None and one.route.candidate.is_by_time:
            ours.filter(pk=one.generation_id).update(units=one.ran())
    if rows:
        ours.bulk_update(rows, ["delivered_bytes", "heartbeat_at"])
    if not beating:
        return None
    ours.filter(pk__in=beating).update(heartbeat_at=now)
    return set(ours.filter(pk__in=beating).values_list("pk", flat=True))


def _write_opening(one: Live, route: Route, delivered: int) -> None:
    candidate = route.candidate
    Generation.objects.filter(pk=one.generation_id, status__in=Generation.LIVE).update(
        status=Generation.Status.STREAMING,
        model=candidate.model,
        provider_id=route.provider_id,
        endpoint_id=route.endpoint_id,
        is_byok=route.is_own,
        prices=dict(candidate.prices),
        costs=dict(candidate.costs),
        list_prices=dict(route.list_prices or {}),
        delivered_bytes=delivered,
        heartbeat_at=timezone.now(),
    )


CHECKPOINTS: Final = Checkpoints()
