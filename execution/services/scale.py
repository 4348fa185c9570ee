"""Every second: how many instances each deployment should have (`scaling.step`), written for the keepers to follow."""

from __future__ import annotations

import datetime as dt

from django.db.models import Count, Min, Q

from billing.services import holds
from execution import limits, scaling
from execution.models import Deployment, Prediction, Release
from execution.scaling import Bounds, Load, Scale
from execution.services import releases
from execution.services.endings import UNIT, cost_nano
from execution.states import LIVE, Status
from marketplace.services import prices


def all_deployments(*, now: dt.datetime) -> None:
    """One step for each; two at once do no harm, since a step follows from what is written."""
    loads = _loads(now)
    for row in Deployment.objects.all():
        if row.drained_because:
            _resume(row)
        else:
            _step(row, loads.get(row.pk, Load(running=0, waiting=0, oldest=0.0)), now)


def _loads(now: dt.datetime) -> dict[str, Load]:
    """What runs and waits, by deployment: one query over what has not ended."""
    waits = Q(status=Status.STARTING, lease_expires_at=None)
    live = Prediction.objects.filter(status__in=LIVE, deployment__isnull=False).order_by().values("deployment_id")
    rows = live.annotate(
        running=Count("pk", filter=~waits), waiting=Count("pk", filter=waits), oldest=Min("created_at", filter=waits)
    )
    return {
        row["deployment_id"]: Load(
            running=row["running"],
            waiting=row["waiting"],
            oldest=(now - row["oldest"]).total_seconds() if row["oldest"] else 0.0,
        )
        for row in rows
    }


def _step(row: Deployment, load: Load, now: dt.datetime) -> None:
    release = row.release
    bounds = Bounds(
        least=release.min_instances,
        most=release.max_instances,
        quiet=limits.QUIET.total_seconds(),
        each=release.version.concurrency,
    )
    if load.waiting:
        releases.align(row)
    old = Scale(row.wanted, row.quiet_since.timestamp() if row.quiet_since else None)
    new = scaling.step(old, bounds=bounds, load=load, now=now.timestamp())
    if new != old:
        quiet = dt.datetime.fromtimestamp(new.quiet_since, dt.UTC) if new.quiet_since is not None else None
        rows = Deployment.objects.filter(pk=row.pk, wanted=row.wanted, drained_because="")
        rows.update(wanted=new.wanted, quiet_since=quiet)


def _resume(row: Deployment) -> None:
    """Back to its least once the wallet pays again for some minutes of it."""
    release: Release = row.release
    price = prices.snapshot(hardware_id=release.hardware_id).get(UNIT, 0)
    needed = cost_nano({UNIT: price}, limits.RESUME_MINUTES * limits.INSTANCE_MINUTE_MS) * max(1, release.min_instances)
    if holds.affordable(account_id=row.account_id, key_id=None) >= needed:
        Deployment.objects.filter(pk=row.pk).update(drained_because="", wanted=release.min_instances)
