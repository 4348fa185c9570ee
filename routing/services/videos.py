"""Films: begun like any request. The hold stays open while the provider works; services.video_upkeep ends both."""

from __future__ import annotations

import datetime as dt
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from execution.models import File
from marketplace.lib.errors import NotFound, UpstreamFailed
from marketplace.services.keys import Caller
from routing.adapters.base import HttpRequest
from routing.adapters.registry import film_exchange_for
from routing.models import VideoJob
from routing.operations import videos
from routing.operations.base import short_of
from routing.operations.videos import Job, VideoRequest
from routing.services import settlement
from routing.services.admission import Try
from routing.services.calls import begin
from routing.services.routes import Route
from routing.services.settlement import Ending
from routing.upstream import SENDER

# A provider that has not made it by then never will; less than its hold is good for.
DEADLINE: Final = dt.timedelta(minutes=50)
FIRST_LOOK: Final = dt.timedelta(seconds=2)


async def start(*, caller: Caller, request: VideoRequest, callback_url: str = "", base: str = "") -> VideoJob:
    """Begin a film at the first endpoint that takes it. `base` is this site's address, for links. Raises AppError."""

    def build(attempt: Try, admitted: VideoRequest) -> HttpRequest:
        return film_exchange_for(attempt.route.dialect).build(admitted, target=attempt.route.target)

    async def send(sent: HttpRequest, dialect: str, patience: float) -> Job:
        job = await SENDER.send(sent, adapter=film_exchange_for(dialect), patience=patience)
        if job.state == "failed":
            raise short_of(job.error or "The provider's job failed at once.")
        return job

    call = await begin(caller=caller, request=request, need_of=videos.need, build=build, operation=videos.NAME)
    try:
        route, job = await call.try_each(send)
    except BaseException as error:
        await call.give_up(error)
        raise
    kept = await call.suspend(
        _keep,
        route=route,
        account_id=caller.account_id,
        upstream_id=job.upstream_id,
        callback_url=callback_url,
        base=base,
    )
    if kept is None:
        raise UpstreamFailed("The request took too long to begin and was given up. Nothing is charged: try again.")
    return kept


@transaction.atomic
def _keep(
    *,
    generation_id: UUID,
    hold_id: UUID,
    ending: Ending,
    route: Route,
    account_id: int,
    upstream_id: str,
    callback_url: str,
    base: str,
) -> VideoJob | None:
    """Write down that a provider works on it; None when the sweeper had been faster."""
    if not settlement.suspend(generation_id=generation_id, route=route, ending=ending):
        return None
    now = timezone.now()
    return VideoJob.objects.create(
        generation_id=generation_id,
        account_id=account_id,
        upstream_id=upstream_id,
        due_at=now + FIRST_LOOK,
        deadline_at=now + DEADLINE,
        callback_url=callback_url,
        base=base,
    )


def find(*, account_id: int, public_id: str) -> VideoJob:
    """The account's job. Raises NotFound, also for a stranger's."""
    rows = VideoJob.objects.for_account(account_id).select_related("generation", "file")
    try:
        found = rows.filter(pk=UUID(public_id.removeprefix("job-"))).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound(f"There is no video job {public_id[:80]}.")
    return found


def film(*, account_id: int, public_id: str, index: int) -> File:
    """What a job has made. Raises NotFound for one that has made nothing yet, or whose film has been removed."""
    job = find(account_id=account_id, public_id=public_id)
    if job.state != VideoJob.State.COMPLETED:
        raise NotFound(f"This video is not made: its job is {job.state}.")
    if index != 0:
        raise NotFound("This job made one video: its index is 0.")
    if job.file is None or (job.file.expires_at is not None and job.file.expires_at <= timezone.now()):
        raise NotFound("This video has been removed: videos are kept for a day.")
    return job.file
