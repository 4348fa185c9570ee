"""From one release of a deployment to the next: the instances of the one before work on until their successors do."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from execution import limits, scaling
from execution.models import Deployment, Prediction, Release, WarmInstance
from execution.scaling import Standing
from execution.states import Status

# How the reasons of instances begin that never came to work.
SETUP: Final = "The model's setup failed: "
START: Final = "The model could not be started: "


def take_over(*, old: Release, new: Release) -> None:
    """Instances of the release before run the same on the same hardware: they are the new one's from now on."""
    if (old.version_id, old.hardware_id) == (new.version_id, new.hardware_id):
        WarmInstance.objects.filter(deployment_id=new.deployment_id, release=old, ended_at=None).update(release=new)


def align(deployment: Deployment) -> None:
    """What waits runs on the release that serves."""
    release = deployment.serving
    waiting = Prediction.objects.filter(deployment=deployment, status=Status.STARTING, lease_expires_at=None)
    other = waiting.exclude(version_id=release.version_id, hardware_id=release.hardware_id)
    other.update(version_id=release.version_id, hardware_id=release.hardware_id)


def is_served(*, deployment_id: str) -> bool:
    """Whether an instance of any release works for it."""
    return WarmInstance.objects.filter(deployment_id=deployment_id, ended_at=None, ready_at__isnull=False).exists()


def is_surplus(*, row: WarmInstance, deployment: Deployment, now: dt.datetime | None = None) -> bool:
    """Whether this instance is to go: more than wanted, or its successor works."""
    now = now or timezone.now()
    release = deployment.release
    live = list(deployment.instances.filter(ended_at=None))
    standing = [Standing(one.pk, one.place, one.release_id == release.pk, one.ready_at is not None) for one in live]
    current = [one for one in standing if one.is_current]
    # The new one's instances find no room for so long that room is made; a release whose setup fails gets none.
    makes_room = (
        len(current) < deployment.wanted
        and all(one.is_ready for one in current)
        and now - release.created_at > limits.ROLL_TIME * (1 + len(current))
        and not failed_starts(release).exists()
    )
    return row.pk in scaling.surplus(standing, wanted=deployment.wanted, makes_room=makes_room)


def failed_starts(release: Release) -> QuerySet[WarmInstance]:
    """Instances of this release that never came to work."""
    failed = Q(ended_because__startswith=SETUP) | Q(ended_because__startswith=START)
    return WarmInstance.objects.filter(failed, release=release)
