"""Looking after films that providers work on, until each has ended.

Who looks claims the job by a conditional UPDATE (a lease and a fencing number); what it finds counts only under that
number. The hold ends in the transaction that ends the job, so a film is charged once, whoever looked how often. A
film is charged when it lies here: one that cannot be fetched is not delivered.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from typing import IO, Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from execution.models import File
from execution.services import files
from marketplace.lib import jobs
from marketplace.models.tenancy import TenantQuerySet
from routing.adapters.base import HttpRequest
from routing.adapters.registry import film_exchange_for
from routing.canonical import UpstreamError
from routing.models import Generation, VideoJob
from routing.operations.videos import Job
from routing.services import settlement, video_webhooks
from routing.services.routes import target_of
from routing.services.settlement import Ending
from routing.upstream import Sender

logger = structlog.get_logger(__name__)

TASK: Final = "routing.look_at_video"
AT_ONCE: Final = 100
LEASE: Final = dt.timedelta(minutes=3)
FETCH_LEASE: Final = dt.timedelta(minutes=10)
PAUSE: Final = dt.timedelta(seconds=5)
MAX_BYTES: Final = 128 * 1024 * 1024
# Failures that end a job; after any other the provider is asked again until the deadline.
FINAL: Final = frozenset({"not_found", "invalid", "content_policy", "refused_address"})
LOST: Final = "The provider no longer knows the job."
LATE: Final = "The provider did not make it in time."


def ring(*, now: dt.datetime | None = None) -> int:
    """Ring for every job whose time has come, and for webhooks that are due; how many jobs."""
    now = now or timezone.now()
    due = VideoJob.objects.filter(state__in=VideoJob.OPEN, due_at__lte=now).order_by("due_at")
    ids = list(due.values_list("pk", flat=True)[:AT_ONCE])
    for job_id in ids:
        jobs.send(TASK, job_id=str(job_id))
    video_webhooks.ring(now=now)
    return len(ids)


def look(*, job_id: UUID, now: dt.datetime | None = None) -> bool:
    """Ask the provider once how a job that is due stands, and act on it; False when somebody else has it."""
    now = now or timezone.now()
    job = _claim(job_id, now)
    if job is None:
        return False
    if now >= job.deadline_at:
        return _end(job, VideoJob.State.EXPIRED, error=LATE)
    try:
        found = _ask(job)
        if found.state == "completed":
            return _complete(job)
    except UpstreamError as error:
        logger.info("video_look_failed", job=str(job.pk), kind=error.kind, status=error.status)
        if error.kind in FINAL:
            return _end(job, VideoJob.State.FAILED, error=LOST)
        return _later(job, job.state)
    if found.state == "failed":
        return _end(job, VideoJob.State.FAILED, error=found.error or "The provider's job failed.")
    return _later(job, found.state)


def _claim(job_id: UUID, now: dt.datetime) -> VideoJob | None:
    taken = VideoJob.objects.filter(pk=job_id, state__in=VideoJob.OPEN, due_at__lte=now).update(
        due_at=now + LEASE, fence=F("fence") + 1
    )
    return VideoJob.objects.select_related("generation").get(pk=job_id) if taken else None


def _ask(job: VideoJob) -> Job:
    dialect, target = target_of(job.generation.endpoint_id)
    exchange = film_exchange_for(dialect)
    return asyncio.run(Sender().send(exchange.build_look(job.upstream_id, target=target), adapter=exchange))


def _complete(job: VideoJob) -> bool:
    """Fetch the film and keep it, then charge for it."""
    if not _mine(job).update(due_at=timezone.now() + FETCH_LEASE):
        return False
    dialect, target = target_of(job.generation.endpoint_id)
    request = film_exchange_for(dialect).build_fetch(job.upstream_id, target=target)
    with tempfile.TemporaryFile() as content:
        kind = asyncio.run(_fetch(request, dialect, content))
        content.seek(0)
        file = files.store(
            account_id=job.account_id, content=content, name="video.mp4", content_type=kind, max_bytes=MAX_BYTES
        )
    if not _end(job, VideoJob.State.COMPLETED, file=file):
        files.delete(file)
        return False
    return True


async def _fetch(request: HttpRequest, dialect: str, into: IO[bytes]) -> str:
    """Write the film; its media type. Raises UpstreamError, also for what is no film."""
    found = await Sender().open_download(request, adapter=film_exchange_for(dialect))
    try:
        if not found.content_type.startswith(("video/", "application/octet-stream")):
            raise UpstreamError("The provider's film is no film.", kind="malformed", retryable=True)
        async for piece in found.pieces():
            into.write(piece)
    finally:
        await found.close()
    kind = found.content_type.partition(";")[0].strip()
    return kind if kind.startswith("video/") else "video/mp4"


def _later(job: VideoJob, state: str) -> bool:
    return bool(_mine(job).update(state=state, due_at=timezone.now() + PAUSE))


@transaction.atomic
def _end(job: VideoJob, state: VideoJob.State, *, error: str = "", file: File | None = None) -> bool:
    """The job's one end, with its money and the webhook that tells of it; False when it is no longer ours."""
    now = timezone.now()
    told = video_webhooks.DUE if job.callback_url else ""
    if not _mine(job).update(
        state=state, error=error[:500], file=file, ended_at=now, webhook_state=told, webhook_due_at=now
    ):
        return False
    generation = job.generation
    if state == VideoJob.State.COMPLETED:
        settlement.charge_suspended(generation)
    else:
        kind = "timeout" if state == VideoJob.State.EXPIRED else "unavailable"
        ending = Ending(Generation.Status.FAILED, error_kind=kind)
        settlement.release(generation_id=generation.pk, hold_id=generation.hold_id, ending=ending)
    return True


def _mine(job: VideoJob) -> TenantQuerySet[VideoJob]:
    """The row, as long as it is open and nobody has claimed it after us."""
    return VideoJob.objects.filter(pk=job.pk, fence=job.fence, state__in=VideoJob.OPEN)
