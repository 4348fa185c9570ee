"""Deployments as their owners manage them: make, find, change, delete, and use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from execution import limits
from execution.models import Deployment, Prediction, Release
from execution.services import chats, predictions, releases, trust
from execution.services.endings import cost_nano
from execution.states import LIVE
from marketplace.lib.errors import Conflict, NotFound, PaymentRequired, Unavailable, Unprocessable
from marketplace.models import Hardware, Model, Version
from marketplace.models.accounts import SLUG
from marketplace.services import prices

REQUIRED: Final = ("name", "model", "version", "hardware", "min_instances", "max_instances")
HOUR_MS: Final = 3_600_000
CHANGEABLE: Final = ("version", "hardware", "min_instances", "max_instances")


def listed(*, account_id: int) -> QuerySet[Deployment]:
    """The account's deployments, newest first."""
    return Deployment.objects.for_account(account_id).select_related("account")


def find(*, account_id: int, owner: str, name: str) -> Deployment:
    """The account's own deployment. Raises NotFound, also for a stranger's."""
    row = listed(account_id=account_id).filter(account__slug=owner, name=name).first()
    if row is None:
        raise NotFound(f"There is no deployment {owner}/{name} in this account.")
    return row


def create(*, account_id: int, given: Mapping[str, Any]) -> Deployment:
    """Make a deployment with its first release; workers start its instances within seconds.

    `given` has name, model (owner/name), version (an id), hardware, min_instances (0 to 5), max_instances (0 to 20).
    Raises Unprocessable with what to change, Conflict for a name that is taken.
    """
    missing = [f"`{name}` is required." for name in REQUIRED if given.get(name) in (None, "")]
    if missing:
        raise Unprocessable(" ".join(missing))
    name = str(given["name"])
    try:
        SLUG(name)
    except ValidationError:
        raise Unprocessable(f"`name`: {SLUG.message}") from None
    model = Model.objects.visible_to(account_id).named(str(given["model"])).first()
    if model is None:
        raise Unprocessable(f"`model`: there is no model {given['model']}.")
    version = _version(model, given["version"])
    release = Release(version=version, number=1, **_sizes(given), hardware=_hardware(given["hardware"]))
    trust.require_code_of(version)
    try:
        with transaction.atomic():
            row = Deployment.objects.create(account_id=account_id, name=name, wanted=release.min_instances)
            release.deployment = row
            release.save()
    except IntegrityError:
        raise Conflict(f"This account has a deployment {name} already.") from None
    return row


def change(*, account_id: int, owner: str, name: str, given: Mapping[str, Any]) -> Deployment:
    """A new release with what is named, the rest as it was; nothing named makes none.

    Predictions run on the release before as long as only its instances have started. Raises NotFound, Unprocessable.
    """
    row = find(account_id=account_id, owner=owner, name=name)
    old = row.release
    changes = {field: given[field] for field in CHANGEABLE if given.get(field) not in (None, "")}
    if not changes:
        return row
    release = Release(
        deployment=row,
        number=old.number + 1,
        version=_version(old.version.model, changes["version"]) if "version" in changes else old.version,
        hardware=_hardware(changes["hardware"]) if "hardware" in changes else old.hardware,
        **_sizes({"min_instances": old.min_instances, "max_instances": old.max_instances} | changes),
    )
    try:
        with transaction.atomic():
            release.save()
            releases.take_over(old=old, new=release)
            releases.align(row)
    except IntegrityError:
        raise Conflict("Somebody else changed this deployment at the same moment: look at it and try again.") from None
    return row


def delete(*, account_id: int, owner: str, name: str, now: dt.datetime | None = None) -> None:
    """Remove a deployment that has been offline and unused for 15 minutes. Raises NotFound, Conflict."""
    row = find(account_id=account_id, owner=owner, name=name)
    since = (now or timezone.now()) - limits.UNUSED
    minutes = int(limits.UNUSED.total_seconds() // 60)
    is_online = row.instances.filter(ended_at=None).exists() or row.release.min_instances > 0
    was_online = row.instances.filter(ended_at__gt=since).exists()
    is_used = row.last_used_at is not None and row.last_used_at > since
    if is_online or was_online or is_used or Prediction.objects.filter(deployment=row, status__in=LIVE).exists():
        raise Conflict(
            f"A deployment can be deleted once it has been offline and unused for {minutes} minutes: "
            "set min_instances to 0 and wait until its instances have stopped."
        )
    row.delete()


def to_use(*, account_id: int, owner: str, name: str, now: dt.datetime | None = None) -> tuple[Deployment, Version]:
    """The deployment for a new prediction, and what it runs.

    Raises NotFound, Unavailable when it may have no instance, PaymentRequired when it is drained.
    """
    row = find(account_id=account_id, owner=owner, name=name)
    release = row.release
    if release.max_instances == 0:
        raise Unavailable(f"The deployment {row} is switched off: its max_instances is 0.")
    if row.drained_because:
        raise PaymentRequired(f"The deployment {row} is stopped. {row.drained_because}")
    Deployment.objects.filter(pk=row.pk).update(last_used_at=now or timezone.now())
    return row, row.serving.version


def with_newest_version(*, account_id: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same for `create`, with the model's newest version where none is named. Raises NotFound."""
    if given.get("version"):
        return dict(given)
    owner, _, name = str(given["model"]).partition("/")
    return {**given, "version": predictions.latest_of(owner=owner, name=name, account_id=account_id).pk}


def hourly_nano(row: Deployment) -> int:
    """What an hour of one instance costs now, in nano-USD."""
    return cost_nano(prices.snapshot(hardware_id=row.release.hardware_id), HOUR_MS)


def _version(model: Model, given: Any) -> Version:
    found = Version.objects.select_related("model__publisher__account").filter(model=model, pk=str(given)[:64]).first()
    if found is None:
        raise Unprocessable(f"`version`: {model.full_slug} has no version {given}.")
    chats.refuse_predictions(found)
    return found


def _hardware(given: Any) -> Hardware:
    found = Hardware.objects.filter(sku=str(given)[:64], is_active=True).first()
    if found is None:
        known = ", ".join(Hardware.objects.filter(is_active=True).values_list("sku", flat=True))
        raise Unprocessable(f"`hardware` is one of {known}.")
    return found


def _sizes(given: Mapping[str, Any]) -> dict[str, int]:
    bounds = {"min_instances": limits.MOST_LEAST_INSTANCES, "max_instances": limits.MOST_INSTANCES}
    for field, most in bounds.items():
        value = given[field]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise Unprocessable(f"`{field}` is a whole number from 0 to {most}.")
    if given["min_instances"] > given["max_instances"]:
        raise Unprocessable("`min_instances` is at most `max_instances`.")
    return {field: given[field] for field in bounds}
