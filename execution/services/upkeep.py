"""What the clock does for predictions: rings for unclaimed work, ends what is overdue. Every second, idempotent."""

from __future__ import annotations

import datetime as dt

from django.db.models import Q
from django.utils import timezone

from execution import limits
from execution.models import Prediction
from execution.services import attempts, doors, endings, hosts, instances, scale, webhooks
from execution.services.predictions import TASK
from execution.states import LIVE, Status
from marketplace.lib import jobs
from marketplace.models import Hardware

RING_AFTER = dt.timedelta(seconds=2)
RING_AT_ONCE = 4


def poll(*, now: dt.datetime | None = None) -> None:
    """One tick. Each part is a few conditional UPDATEs; two at once do no harm."""
    now = now or timezone.now()
    attempts.reap(now=now)
    instances.reap(now=now)
    scale.all_deployments(now=now)
    end_overdue(now=now)
    hosts.forget_lost(now=now)
    doors.withdraw_lost(now=now)
    ring(now=now)
    webhooks.ring(now=now)


def end_overdue(*, now: dt.datetime) -> int:
    """Cancel what is past its deadline; fail what nobody took for hours. Returns how many."""
    late = Prediction.objects.filter(status__in=LIVE, deadline__lt=now)
    ended = 0
    for prediction in late[:200]:
        ended += endings.end(
            prediction_id=prediction.pk,
            status=Status.CANCELED,
            run_ms=endings.elapsed_ms(prediction, now=now),
            error=f"The deadline of this {prediction.kind} (Cancel-After) passed.",
            now=now,
        )
    unserved = Prediction.objects.filter(
        status=Status.STARTING, lease_expires_at=None, created_at__lt=now - limits.QUEUE_TIME
    )
    for prediction in unserved.select_related("hardware")[:200]:
        ended += endings.end(
            prediction_id=prediction.pk,
            status=Status.FAILED,
            run_ms=0,
            error=f"No worker with the hardware {prediction.hardware.sku} took this {prediction.kind}; "
            "nothing was charged.",
            only=Q(lease_expires_at=None),
            now=now,
        )
    return ended


def ring(*, now: dt.datetime) -> int:
    """Ring again for predictions that wait: the doorbell may have been lost. Returns how many were rung for.

    A few per hardware and kind are enough, since a worker that ends one takes the next from the database itself.
    For a deployment nobody rings: the keeper of its instances looks for what waits.
    """
    rung = 0
    waiting = Prediction.objects.filter(
        status=Status.STARTING, lease_expires_at=None, rung_at__lt=now - RING_AFTER, deployment=None
    )
    for hardware_id, kind in set(waiting.values_list("hardware_id", "kind").distinct()):
        hardware = Hardware.objects.get(pk=hardware_id)
        oldest = waiting.filter(hardware_id=hardware_id, kind=kind).select_related("version").order_by("created_at")
        for row in list(oldest[:RING_AT_ONCE]):
            if waiting.filter(pk=row.pk).update(rung_at=now):
                queue = hosts.queue_for(version=row.version, hardware=hardware.sku, otherwise=hardware.queue)
                jobs.enqueue(TASK, queue=queue, prediction_id=row.pk)
                rung += 1
    return rung
