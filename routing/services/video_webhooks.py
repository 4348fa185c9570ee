"""Telling who wanted a film that its job has ended: an outbox on the job's row, signed as Standard Webhooks says."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from execution import limits
from execution.services.webhooks import secret_of
from marketplace.lib import http, jobs, webhooks
from marketplace.lib.addresses import Refused
from routing.models import VideoJob
from routing.services import renderings

TASK: Final = "routing.tell_of_video"
DUE, TOLD, GIVEN_UP = "due", "told", "given_up"
AT_ONCE: Final = 50
GONE: Final = 410


def ring(*, now: dt.datetime) -> int:
    """Ring for the webhooks whose time has come; how many."""
    due = VideoJob.objects.filter(webhook_state=DUE, webhook_due_at__lte=now).order_by("webhook_due_at")
    ids = list(due.values_list("pk", flat=True)[:AT_ONCE])
    for job_id in ids:
        jobs.send(TASK, job_id=str(job_id))
    return len(ids)


def tell(*, job_id: UUID, now: dt.datetime | None = None) -> bool:
    """One try at a webhook that is due; whether it was heard."""
    now = now or timezone.now()
    claimed = VideoJob.objects.filter(pk=job_id, webhook_state=DUE, webhook_due_at__lte=now).update(
        webhook_due_at=now + limits.WEBHOOK_LEASE, webhook_tries=F("webhook_tries") + 1
    )
    if not claimed:
        return False
    job = VideoJob.objects.select_related("generation").get(pk=job_id)
    heard, again = _post(job)
    mine = VideoJob.objects.filter(pk=job_id, webhook_state=DUE, webhook_tries=job.webhook_tries)
    if heard:
        mine.update(webhook_state=TOLD, webhook_due_at=None)
    elif again and job.webhook_tries <= len(limits.WEBHOOK_DELAYS):
        delay = dt.timedelta(seconds=limits.WEBHOOK_DELAYS[job.webhook_tries - 1])
        mine.update(webhook_due_at=now + delay)
    else:
        mine.update(webhook_state=GIVEN_UP, webhook_due_at=None)
    return heard


def _post(job: VideoJob) -> tuple[bool, bool]:
    """(whether it was heard, whether another try may help)."""
    assert job.ended_at is not None  # noqa: S101  it is due because it has ended
    body: dict[str, Any] = {
        "type": f"video.{job.state}",
        "timestamp": job.ended_at.isoformat(),
        "data": renderings.video(job, base=job.base),
    }
    content = json.dumps(body).encode()
    signed = webhooks.headers(
        secret=secret_of(account_id=job.account_id),
        message_id=f"msg_{job.pk.hex}",  # the same in every try: a receiver knows by it what it has seen
        timestamp=int(time.time()),
        content=content,
    )
    try:
        status = http.post(
            job.callback_url,
            content=content,
            headers={"content-type": "application/json", **signed},
            seconds=limits.WEBHOOK_SECONDS,
            private_origins=settings.PRIVATE_ORIGINS,
        )
    except Refused:
        return False, False
    except http.FetchFailed:
        return False, True
    return 200 <= status < 300, status != GONE
