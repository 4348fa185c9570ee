"""The one place where a prediction ends and its money moves: a terminal compare-and-set (contracts, Money 4 and 5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from billing import rating
from billing.models import LedgerAccount
from billing.rating import Part
from billing.services import holds
from execution.models import Prediction, labels_of
from execution.services import waits, webhooks
from execution.states import Status, sources_of

UNIT = "hardware_ms"


def cost_nano(prices: dict[str, int], run_ms: int) -> int:
    """What some run time costs by a price snapshot."""
    return rating.rate(prices, {UNIT: max(0, run_ms)}).amount_nano


def end(
    *,
    prediction_id: str,
    status: Status,
    run_ms: int,
    error: str | None = None,
    only: Q | None = None,
    changes: dict[str, Any] | None = None,
    also: Callable[[], None] | None = None,
    claimed: Prediction | None = None,
    now: dt.datetime | None = None,
) -> bool:
    """End a prediction and charge its run time, or release its hold when there was none; False when it had ended.

    `only` narrows who may end it (a fence, a lease that is over); `changes` are fields written with the end;
    `also` is done in the same transaction, when this end is the one. `claimed` is the row as its worker read it, with
    its start: what an end needs of it does not change while the claim holds (`only` must say that it does), so that
    nothing is read again; a royalty that changes while it runs is that of the next run.
    Setup and queue cost nothing; run time of succeeded, failed and canceled runs alike is charged. A caller
    whose loss it is (a worker that died) passes `run_ms=0`.
    """
    now = now or timezone.now()
    run_ms = max(0, run_ms)
    written: dict[str, Any] = {"run_ms": run_ms, "status": status, "error": error, **(changes or {})}
    if claimed is not None:
        # What the run is expected to cost is written at once; a wallet that cannot pay all of it has a second write.
        expected = cost_nano(claimed.prices, run_ms) if claimed.hold_id else 0
        written |= {"amount_nano": expected, "metrics": _metrics(claimed, written, now)}
    with transaction.atomic():
        rows = Prediction.objects.filter(only or Q(), pk=prediction_id, status__in=sources_of(status))
        moved = rows.update(
            **written, completed_at=now, lease_owner="", lease_expires_at=None, revision=F("revision") + 1
        )
        if not moved:
            return False
        if claimed is None:
            rows = Prediction.objects.select_related("model__publisher", "hardware", "webhook")
            prediction = rows.get(pk=prediction_id)
        else:
            prediction = claimed
            prediction.status, prediction.run_ms = status, run_ms
        amount = _settle(prediction)
        if amount != written.get("amount_nano"):
            metrics = _metrics(prediction, written, now)
            Prediction.objects.filter(pk=prediction_id).update(amount_nano=amount, metrics=metrics)
        if also is not None:
            also()
        webhooks.ended(prediction, now=now)
        waits.ring_later(prediction_id, over=True)
    return True


def _metrics(prediction: Prediction, written: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """What the model has measured, and our own times, in seconds."""
    total = max(dt.timedelta(0), now - prediction.created_at).total_seconds()
    metrics = {**prediction.metrics, **written.get("metrics", {}), "total_time": round(total, 6)}
    if prediction.started_at is not None:
        metrics["predict_time"] = written["run_ms"] / 1000
    return metrics


def _settle(prediction: Prediction) -> int:
    """Charge or release; returns what the caller paid."""
    if prediction.hold_id is None:
        return 0
    if prediction.run_ms == 0:
        holds.release(hold_id=prediction.hold_id)
        return 0
    charge = holds.settle(
        hold_id=prediction.hold_id,
        rated=rating.rate(prediction.prices, {UNIT: prediction.run_ms}),
        parts=_parts(prediction),
        labels=labels_of(prediction),
    )
    return charge.amount_nano if charge else 0


def _parts(prediction: Prediction) -> list[Part]:
    """The publisher's royalty; the rest, the hardware part, is the platform's."""
    model = prediction.model
    if not model.royalty_bps or model.publisher.account_id is None:
        return []
    return [Part(LedgerAccount.Kind.PUBLISHER_PAYABLE, model.publisher.account_id, bps=model.royalty_bps)]


def elapsed_ms(prediction: Prediction, *, now: dt.datetime | None = None) -> int:
    """Run time so far by the clock, for an end that comes from outside the worker; 0 when the worker is lost."""
    now = now or timezone.now()
    if prediction.started_at is None or prediction.status != Status.PROCESSING:
        return 0
    if prediction.lease_expires_at is None or prediction.lease_expires_at < now:
        return 0
    return max(0, int((now - prediction.started_at).total_seconds() * 1000))
