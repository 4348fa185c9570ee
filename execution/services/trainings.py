"""Trainings as their callers see them: make, find, list, cancel.

A training is a run of a version's training function (models.Prediction); its end is in runs, its fruit in trained.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from execution import training
from execution.models import IdempotencyKey, Prediction
from execution.services import listings, predictions
from marketplace.lib.errors import Unprocessable
from marketplace.models import Account, Model, Version
from marketplace.services import accounts

_KIND = Prediction.Kind.TRAINING


def create(
    *,
    account_id: int,
    key_id: int | None,
    version: Version,
    destination: Any,
    given: Any,
    base: str,
    source: str = Prediction.Source.API,
    cancel_after: int | None = None,
    once: IdempotencyKey | None = None,
    uploads: Collection[str] = (),
    webhook: str = "",
    webhook_events: Collection[str] = (),
    user_id: int | None = None,
) -> Prediction:
    """Begin a training of a version; its weights become a version of `destination`, "owner/name" of the account's own.

    The rest is as for predictions.create. Raises Unprocessable when the version cannot be trained, for the
    destination and for the input, Forbidden, PaymentRequired, Unavailable.
    """
    if not training.is_offered(version.openapi_schema):
        raise Unprocessable(
            f"This version of {version.model.full_slug} cannot be trained: its cog.yaml names no train function."
        )
    return predictions.create(
        account_id=account_id,
        key_id=key_id,
        version=version,
        destination=_destination(account_id, destination),
        given=given,
        base=base,
        source=source,
        cancel_after=cancel_after,
        once=once,
        uploads=uploads,
        webhook=webhook,
        webhook_events=webhook_events,
        user_id=user_id,
    )


def create_into(
    *,
    account: Account,
    slug: str,
    version: Version,
    given: Any,
    base: str,
    uploads: Collection[str],
    user_id: int,
) -> Prediction:
    """Begin a training in the portal: into the account's model of this name, made private when there is none.

    Such a model runs on the trained one's hardware. Raises as `create` does, and then has made nothing.
    """
    owner = accounts.publisher_of(account=account)
    with transaction.atomic():
        if not destinations(account_id=account.pk).filter(slug=slug).exists():
            hardware = version.model.hardware
            described = {"owner": owner.slug, "name": slug, "visibility": Model.Visibility.PRIVATE}
            listings.create(account=account, given={**described, "hardware": hardware.sku if hardware else ""})
        return create(
            account_id=account.pk,
            key_id=None,
            version=version,
            destination=f"{owner.slug}/{slug}",
            given=given,
            base=base,
            source=Prediction.Source.WEB,
            uploads=uploads,
            user_id=user_id,
        )


def _destination(account_id: int, name: Any) -> Model:
    """The account's own hosted model of this name. Raises Unprocessable, for a stranger's like for none."""
    if not isinstance(name, str) or not name:
        raise Unprocessable('`destination` is required: "owner/name", the model that gets the trained version.')
    own = Model.objects.owned_by(account_id).named(name).select_related("publisher")
    found = own.filter(hardware__isnull=False).first()
    if found is None:
        raise Unprocessable(
            f"`destination`: this account has no model {name}. Make it first (POST /v1/models, visibility private)."
        )
    return found


def destinations(*, account_id: int) -> QuerySet[Model]:
    """The models that a training of this account can go to."""
    return Model.objects.owned_by(account_id).filter(hardware__isnull=False).select_related("publisher")


def find(*, account_id: int, training_id: str) -> Prediction:
    """The account's training. Raises NotFound, also for a stranger's."""
    return predictions.find(account_id=account_id, prediction_id=training_id, kind=_KIND)


def listed(*, account_id: int) -> QuerySet[Prediction]:
    """The account's trainings, without logs."""
    return predictions.rows(_KIND).filter(account_id=account_id).defer("logs", "version__openapi_schema")


def version_of(row: Prediction) -> Version | None:
    """The version that a finished training has made, while there is one."""
    named = row.output.get("version", "") if isinstance(row.output, dict) else ""
    version_id = str(named).rpartition(":")[2]
    return Version.objects.filter(pk=version_id, model=row.destination).first()


def cancel(*, account_id: int, training_id: str) -> Prediction:
    """End the account's training as canceled, charged up to now; no version comes of it. Raises NotFound."""
    return predictions.cancel(account_id=account_id, prediction_id=training_id, kind=_KIND)
