"""Predictions as their callers see them: make, find, list, cancel. Trainings are made here too (trainings.py)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.services import holds
from execution import limits, training
from execution.models import Deployment, File, IdempotencyKey, Prediction, Webhook, new_id
from execution.services import chats, endings, hosts, idempotency, inputs, trust
from execution.services.credit import told_of_runs
from execution.services.endings import UNIT, cost_nano
from execution.states import Status
from marketplace.lib import bells, jobs
from marketplace.lib.errors import InvalidRequest, NotFound, Unavailable, Unprocessable
from marketplace.models import Model, Version
from marketplace.services import prices
from marketplace.services.guardrails import Policy, policy_of
from marketplace.services.nearby import no_such_model

TASK: Final = "execution.run_prediction"
# What is shown of a prediction and changes after it was made.
_OF_THE_RUN: Final = ("status", "output", "logs", "error", "metrics", "started_at", "completed_at")
_NO_VERSION: Final = "The specified version does not exist (or perhaps you don't have permission to use it?)"
_DURATION: Final = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s?)?")


def parse_cancel_after(text: str) -> int | None:
    """Seconds from "30", "30s", "5m", "1h30m45s"; None for an empty text. Raises InvalidRequest under 5 seconds."""
    if not text.strip():
        return None
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = (
        sum(int(part or 0) * scale for part, scale in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    )
    if seconds < limits.MIN_CANCEL_AFTER:
        raise InvalidRequest("Cancel-After is a duration of at least 5 seconds, such as 30, 30s, 5m or 1h30m45s.")
    return seconds


def runnable() -> QuerySet[Version]:
    """Versions with what a run of them asks about, and not the texts beside it."""
    versions = Version.objects.select_related("model__hardware", "model__publisher__account")
    return versions.only(
        "openapi_schema",
        "gpu_memory_mib",
        "trained_from",
        "model__slug",
        "model__hardware",
        "model__publisher__slug",
        "model__publisher__account__is_trusted",
    )


def resolve(*, reference: str, account_id: int) -> Version:
    """The version behind "owner/name" (its latest), "owner/name:64hex" or "64hex". Raises Unprocessable."""
    name, _, version_id = reference.strip().rpartition(":") if ":" in reference else ("", "", reference.strip())
    versions = runnable().filter(model__in=Model.objects.visible_to(account_id))
    if "/" in version_id and not name:
        name, version_id = version_id, ""
    if name:
        publisher, _, slug = name.partition("/")
        versions = versions.filter(model__publisher__slug=publisher, model__slug=slug)
    if version_id:
        versions = versions.filter(pk=version_id)
    found = versions.order_by("-created_at").first() if name or version_id else None
    if found is None:
        raise Unprocessable(_NO_VERSION)
    return found


def latest_of(*, owner: str, name: str, account_id: int) -> Version:
    """A model's newest version. Raises NotFound for a model that is not there for this account, or has none."""
    named = Q(model__publisher__slug=owner, model__slug=name)
    visible = Q(model__visibility=Model.Visibility.PUBLIC) | Q(model__publisher__account_id=account_id)
    found = runnable().filter(named, visible).order_by("-created_at").first()
    if found is not None:
        return found
    model = Model.objects.visible_to(account_id).named(f"{owner}/{name}").first()
    if model is None:
        raise no_such_model(f"{owner}/{name}", account_id=account_id)
    if model.hardware_id is None and model.endpoints.filter(is_active=True, provider__is_active=True).exists():
        raise NotFound(
            f"The model {owner}/{name} is not hosted here but served by providers: it takes no predictions. Name it as "
            '"model" in a request under /api/v1, such as POST /api/v1/chat/completions; its page has code to paste.'
        )
    raise NotFound(f"The model {owner}/{name} has no version that can be run yet.")


def create(
    *,
    account_id: int,
    key_id: int | None,
    version: Version,
    given: Any,
    base: str,
    source: str = Prediction.Source.API,
    cancel_after: int | None = None,
    once: IdempotencyKey | None = None,
    uploads: Collection[str] = (),
    webhook: str = "",
    webhook_events: Collection[str] = (),
    user_id: int | None = None,
    deployment: Deployment | None = None,
    destination: Model | None = None,
) -> Prediction:
    """Validate, hold money for the first minute, write the row and ring a worker: all or nothing.

    `uploads` are the account's files that were stored for this prediction alone: they go when its data goes.
    `webhook` and its events are as `webhooks.read` gives them.
    `user_id` is who acts without a key, in the portal.
    With a deployment the run itself is free: its instances are paid by the minute.
    With a destination it is a training, whose weights become a version of that model.

    Raises Unprocessable for the input, Forbidden for what a guardrail refuses, PaymentRequired, Unavailable when
    the version has no priced hardware.
    """
    chats.refuse_predictions(version)
    hardware = deployment.serving.hardware if deployment else version.model.hardware
    if hardware is None or not hardware.is_active:
        raise Unavailable(f"{version.model.full_slug} has no hardware to run on at the moment.")
    if version.gpu_memory_mib > hardware.gpu_memory_gb * 1024:
        needed = f"{version.gpu_memory_mib // 1024} GB of a GPU's memory"
        raise Unavailable(
            f"{version.model.full_slug} needs {needed}, and {hardware.sku} has {hardware.gpu_memory_gb}: "
            "choose larger hardware for it."
        )
    given = _guarded(policy_of(key_id=key_id, account_id=account_id, user_id=user_id), version, given)
    trust.require_code_of(version)
    kind = Prediction.Kind.TRAINING if destination else Prediction.Kind.PREDICTION
    document = training.document_of(version.openapi_schema) if destination else version.openapi_schema
    ready, made = inputs.accept(document=document, given=given, account_id=account_id, base=base)
    snapshot = prices.snapshot(hardware_id=hardware.pk)
    if UNIT not in snapshot:
        raise Unavailable(f"The hardware {hardware.sku} has no price at the moment.")
    if deployment is not None:
        snapshot = {UNIT: 0}
    now = timezone.now()
    covered = min(limits.HOLD_AHEAD_MS, cancel_after * 1000) if cancel_after else limits.HOLD_AHEAD_MS
    prediction_id = new_id()
    with told_of_runs(), transaction.atomic():
        hold = holds.place(
            account_id=account_id,
            key_id=key_id,
            amount_nano=cost_nano(snapshot, covered),
            kind=kind,
            reference=prediction_id,
            expires_in=limits.HOLD_LIFE,
            user_id=user_id,
        )
        prediction = Prediction.objects.create(
            id=prediction_id,
            kind=kind,
            destination=destination,
            account_id=account_id,
            key_id=key_id,
            model=version.model,
            version=version,
            hardware=hardware,
            deployment=deployment,
            source=source,
            input=ready,
            prices={UNIT: snapshot[UNIT]},
            hold_id=hold.pk,
            covered_ms=covered,
            created_at=now,
            rung_at=now,
            deadline=now + dt.timedelta(seconds=cancel_after) if cancel_after else None,
        )
        if own := [*made, *uploads]:
            kept = File.objects.for_account(account_id).filter(pk__in=own)
            kept.update(prediction=prediction, expires_at=None)
        if webhook:
            Webhook.objects.create(
                prediction=prediction, account_id=account_id, url=webhook, events=list(webhook_events), base=base
            )
        if once is not None:
            idempotency.complete(row=once, result=prediction.pk)
        queue = hosts.queue_for(version=version, hardware=hardware.sku, otherwise=hardware.queue)
        transaction.on_commit(lambda: _ring(queue, prediction.pk))
    return prediction


def _ring(queue: str, prediction_id: str) -> None:
    """Tell a worker: one of this host at once, and those of all hosts by the broker.

    A broker of files has this host alone, and nothing to add to a ring that was heard: what is not begun by it, the
    poller rings for again.
    """
    heard = bells.ring(queue, prediction_id)
    if not heard or settings.REDIS_URL:
        jobs.send(TASK, queue=queue, prediction_id=prediction_id)


def _guarded(policy: Policy, version: Version, given: Any) -> Any:
    """The input as the caller's guardrails let it through. Raises Forbidden."""
    policy.require_model(version.model.full_slug)
    if policy.zdr:
        raise policy.refusal("hosted predictions keep their data for a while, and zero retention is enforced")
    return policy.value(given) if policy.filters else given


def rows(kind: str = Prediction.Kind.PREDICTION) -> QuerySet[Prediction]:
    """Runs of a kind, with what is shown of them."""
    found = Prediction.objects.select_related("model__publisher", "version", "hardware", "deployment")
    return found.select_related("destination__publisher").filter(kind=kind)


def find(*, account_id: int, prediction_id: str, kind: str = Prediction.Kind.PREDICTION) -> Prediction:
    """The account's prediction. Raises NotFound, also for a stranger's."""
    try:
        return rows(kind).get(account_id=account_id, pk=prediction_id)
    except Prediction.DoesNotExist:
        raise NotFound(f"There is no such {kind} in this account.") from None


def renew(row: Prediction) -> None:
    """Read again what a run changes. Raises NotFound when the row is gone."""
    try:
        row.refresh_from_db(fields=_OF_THE_RUN)
    except Prediction.DoesNotExist:
        raise NotFound(f"There is no such {row.kind} in this account.") from None


def listed(
    *,
    account_id: int,
    source: str = "",
    created_after: dt.datetime | None = None,
    created_before: dt.datetime | None = None,
) -> QuerySet[Prediction]:
    """The account's predictions, without logs; narrowed where something is said."""
    found = rows().filter(account_id=account_id).defer("logs", "version__openapi_schema")
    if source:
        found = found.filter(source=source)
    if created_after is not None:
        found = found.filter(created_at__gt=created_after)
    if created_before is not None:
        found = found.filter(created_at__lt=created_before)
    return found


def cancel(*, account_id: int, prediction_id: str, kind: str = Prediction.Kind.PREDICTION) -> Prediction:
    """End the account's prediction as canceled, charged up to now; one that has ended stays as it is. Raises NotFound.

    The worker sees within half a second that the row is no longer its own, and stops the model.
    """
    prediction = find(account_id=account_id, prediction_id=prediction_id, kind=kind)
    if not prediction.is_over:
        endings.end(prediction_id=prediction.pk, status=Status.CANCELED, run_ms=endings.elapsed_ms(prediction))
        prediction = find(account_id=account_id, prediction_id=prediction_id, kind=kind)
    return prediction
