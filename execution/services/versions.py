"""Versions as their owners and users find them, and their end."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from execution.models import Deployment, Prediction
from execution.services import builds, chats, listings, recipes
from execution.states import LIVE
from marketplace.lib import jobs
from marketplace.lib.errors import Conflict, NotFound
from marketplace.models import Model, Version

REMOVE: Final = "execution.remove_build"


def find(*, account_id: int | None, owner: str, name: str, version_id: str) -> Version:
    """A version of a visible model. Raises NotFound."""
    found = (
        Version.objects.select_related("model__publisher", "model__hardware")
        .filter(model__in=Model.objects.visible_to(account_id).named(f"{owner}/{name}"), pk=version_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no version {version_id} of {owner}/{name}.")
    return found


def delete(*, account_id: int, owner: str, name: str, version_id: str) -> None:
    """Take a version of the account's private model out of use, and its build off the hosts.

    Raises NotFound, Forbidden for another's model, Conflict for a public one or while somebody else has run it.
    """
    model = listings.own(account_id=account_id, owner=owner, name=name)
    version = find(account_id=account_id, owner=owner, name=name, version_id=version_id)
    if model.visibility != Model.Visibility.PRIVATE:
        raise Conflict("Only versions of private models can be deleted: others may rely on a public one.")
    if Prediction.objects.filter(version=version).exclude(account_id=account_id).exists():
        raise Conflict("Another account has run this version, so it stays.")
    if Prediction.objects.filter(version=version, status__in=LIVE).exists():
        raise Conflict("This version is running: cancel its predictions first.")
    deployments = Deployment.objects.annotate(newest=Max("releases__number")).filter(
        releases__number=F("newest"), releases__version=version
    )
    if deployments.exists():
        raise Conflict("A deployment runs this version: give it another one, or delete it, first.")
    with transaction.atomic():
        Version.objects.filter(pk=version.pk).update(deleted_at=timezone.now())
        chats.withdraw(version_id=version.pk)
        jobs.enqueue(REMOVE, queue=builds.QUEUE, version_id=version.pk)


def remove_build(*, version_id: str) -> None:
    """Remove the files of a deleted version from this host and from the storage; other hosts see it by themselves."""
    gone = Version.with_deleted.filter(pk=version_id).exclude(deleted_at=None).first()
    if gone is None:
        return
    builds.discard(builds.folder(gone.build_path))
    recipes.forget(gone.pk)
