"""Warm instances of deployments and their money: each minute of each is held ahead and settled once it is over.

The hold's reference is "instance:minute", which the books take once only: whoever settles it again changes nothing.
"""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import rating
from billing.models import LedgerAccount
from billing.rating import Part
from billing.services import holds
from execution import limits
from execution.models import Deployment, Prediction, Release, WarmInstance
from execution.services import endings, releases
from execution.services.credit import told_of_runs
from execution.services.endings import UNIT, cost_nano
from execution.states import Status
from marketplace.lib.errors import PaymentRequired
from marketplace.services import prices

KIND = "instance"
MINUTE = dt.timedelta(milliseconds=limits.INSTANCE_MINUTE_MS)


def claim(*, release: Release, worker: str, now: dt.datetime | None = None) -> WarmInstance | None:
    """Take a free place of the deployment and pay its first minute ahead; None when there is none to take.

    A wallet that does not pay drains the deployment.
    """
    now = now or timezone.now()
    deployment = release.deployment
    live = list(deployment.instances.filter(ended_at=None).values_list("place", "release_id"))
    own = sum(release_id == release.pk for _, release_id in live)
    if own >= min(deployment.wanted, release.max_instances):
        return None
    # Beside those of the release before, which work on until this one does.
    taken = {place for place, _ in live}
    free = next(place for place in range(len(taken) + 1) if place not in taken)
    snapshot = prices.snapshot(hardware_id=release.hardware_id)
    if UNIT not in snapshot:
        return None
    try:
        with transaction.atomic():
            row = WarmInstance.objects.create(
                account_id=deployment.account_id,
                deployment=deployment,
                release=release,
                place=free,
                worker=worker,
                prices={UNIT: snapshot[UNIT]},
                beat_at=now,
                created_at=now,
                minute_began_at=now,
            )
            _pay_ahead(row)
    except IntegrityError:
        return None  # another worker took the place
    except PaymentRequired as error:
        drain(deployment_id=deployment.pk, reason=error.message, now=now)
        return None
    return row


def is_ready(*, instance_id: str, now: dt.datetime | None = None) -> bool:
    """The model has started and takes what waits; False when the instance has ended meanwhile."""
    rows = WarmInstance.objects.filter(pk=instance_id, ended_at=None)
    if not rows.update(ready_at=now or timezone.now()):
        return False
    releases.align(rows.select_related("deployment").get().deployment)
    return True


def beat(*, instance_id: str, now: dt.datetime | None = None) -> bool:
    """The worker still keeps it: settle the minutes that are over, pay the next ahead; False when it is to stop."""
    now = now or timezone.now()
    rows = WarmInstance.objects.filter(pk=instance_id, ended_at=None)
    if not rows.update(beat_at=now):
        return False
    row = rows.select_related("deployment").get()
    while now >= row.minute_began_at + MINUTE:
        try:
            if not _turn(row):
                return False
        except PaymentRequired as error:
            drain(deployment_id=row.deployment_id, reason=error.message, now=row.minute_began_at + MINUTE)
            return False
        row.refresh_from_db()
    return True


def end(*, instance_id: str, reason: str, now: dt.datetime | None = None, free: bool = False) -> bool:
    """End an instance and charge what it stood of its minute (`free`: nothing); False when it had ended."""
    now = now or timezone.now()
    with transaction.atomic():
        rows = WarmInstance.objects.filter(pk=instance_id, ended_at=None)
        if not rows.update(ended_at=now, ended_because=reason):
            return False
        row = WarmInstance.objects.get(pk=instance_id)
        stood = int((now - row.minute_began_at).total_seconds() * 1000)
        _settle(row, 0 if free else min(max(0, stood), limits.INSTANCE_MINUTE_MS))
    return True


def drain(*, deployment_id: str, reason: str, now: dt.datetime | None = None) -> None:
    """Stop a deployment whose minutes are no longer paid: its instances end, what waits for it is canceled."""
    now = now or timezone.now()
    because = f"The wallet no longer pays for its instances: {reason}"
    Deployment.objects.filter(pk=deployment_id).update(drained_because=because, wanted=0, quiet_since=None)
    for instance_id in WarmInstance.objects.filter(deployment_id=deployment_id, ended_at=None).values_list("pk"):
        end(instance_id=instance_id[0], reason=because, now=now)
    refuse_waiting(deployment_id=deployment_id, status=Status.CANCELED, error=because)


def refuse_waiting(*, deployment_id: str, status: Status, error: str) -> None:
    """End what waits for the deployment, with the reason."""
    waiting = Prediction.objects.filter(deployment_id=deployment_id, status=Status.STARTING, lease_expires_at=None)
    for prediction_id in waiting.values_list("pk", flat=True):
        endings.end(prediction_id=prediction_id, status=status, run_ms=0, error=error)


def reap(*, now: dt.datetime | None = None) -> int:
    """End the instances of workers that went silent, paid up to their last beat; returns how many."""
    now = now or timezone.now()
    silent = WarmInstance.objects.filter(ended_at=None, beat_at__lt=now - limits.LEASE)
    lost = list(silent.values_list("pk", "beat_at"))
    return sum(end(instance_id=pk, reason="The worker that kept it was lost.", now=beat_at) for pk, beat_at in lost)


def _turn(row: WarmInstance) -> bool:
    """From a minute that is over to the next. Raises PaymentRequired, with nothing changed."""
    with transaction.atomic():
        moved = WarmInstance.objects.filter(pk=row.pk, minute=row.minute, ended_at=None).update(
            minute=row.minute + 1, minute_began_at=row.minute_began_at + MINUTE
        )
        if not moved:
            return False
        _settle(row, limits.INSTANCE_MINUTE_MS)
        row.minute += 1
        _pay_ahead(row)
    return True


def _pay_ahead(row: WarmInstance) -> None:
    with told_of_runs():
        hold = holds.place(
            account_id=row.account_id,
            key_id=None,
            amount_nano=cost_nano(row.prices, limits.INSTANCE_MINUTE_MS),
            kind=KIND,
            reference=f"{row.pk}:{row.minute}",
            expires_in=limits.INSTANCE_HOLD_LIFE,
        )
    WarmInstance.objects.filter(pk=row.pk).update(hold_id=hold.pk)


def _settle(row: WarmInstance, stood_ms: int) -> None:
    """Charge one minute's hold, or release it where nothing is owed."""
    if row.hold_id is None:
        return
    if stood_ms == 0:
        holds.release(hold_id=row.hold_id)
        return
    model = row.release.version.model
    royalty = []
    if model.royalty_bps and model.publisher.account_id is not None:
        royalty = [Part(LedgerAccount.Kind.PUBLISHER_PAYABLE, model.publisher.account_id, bps=model.royalty_bps)]
    holds.settle(
        hold_id=row.hold_id,
        rated=rating.rate(row.prices, {UNIT: stood_ms}),
        parts=royalty,
        labels={
            "model": model.full_slug,
            "version": row.release.version_id,
            "hardware": row.release.hardware.sku,
            "deployment": row.deployment.name,
            "instance": row.pk,
            "minute": row.minute,
        },
    )
