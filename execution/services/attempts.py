"""A worker's grip on a prediction: claimed by conditional UPDATE, kept by a lease, told apart by a fence.

Every write here names the fence; a worker that lost its claim writes nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from billing.services import holds
from billing.services.holds import InsufficientCredit, KeyLimitExceeded
from execution import limits
from execution.models import Prediction
from execution.services import endings, waits
from execution.services.endings import cost_nano
from execution.states import LIVE, Status
from marketplace.lib.errors import PaymentRequired


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of one prediction."""

    prediction_id: str
    fence: int

    @property
    def mine(self) -> Q:
        """The condition under which a write of this attempt counts."""
        return Q(fence=self.fence, lease_expires_at__isnull=False)


def waiting(*, prediction_id: str, hardware: str) -> Prediction | None:
    """A prediction that waits for a worker of this hardware, with all that its run and its end need to know."""
    rows = Prediction.objects.select_related("version", "model__publisher", "hardware", "webhook")
    try:
        prediction = rows.get(pk=prediction_id, status=Status.STARTING, lease_expires_at=None, hardware__sku=hardware)
    except Prediction.DoesNotExist:
        return None
    prediction.version.model = prediction.model
    return prediction


def begin(*, prediction_id: str, owner: str, hardware: str, now: dt.datetime | None = None) -> Attempt | None:
    """Claim an unclaimed prediction of this hardware; None when there is nothing to claim."""
    prediction = waiting(prediction_id=prediction_id, hardware=hardware)
    return claim(prediction, owner=owner, now=now) if prediction else None


def claim(prediction: Prediction, *, owner: str, now: dt.datetime | None = None) -> Attempt | None:
    """Claim a prediction that was read as `waiting`; None when somebody else has had it since.

    The row counts as read only while its fence is the same (it grows with every claim) and so is what it runs (a new
    release of its deployment changes that): the next fence is known, and nothing need be read again.
    """
    now = now or timezone.now()
    fence = prediction.fence + 1
    claimed = Prediction.objects.filter(
        pk=prediction.pk,
        status=Status.STARTING,
        lease_expires_at=None,
        fence=prediction.fence,
        version_id=prediction.version_id,
        hardware_id=prediction.hardware_id,
    ).update(
        lease_owner=owner,
        lease_expires_at=now + limits.LEASE,
        fence=fence,
        attempts=prediction.attempts + 1,
        revision=F("revision") + 1,
        output=None,
        logs="",
        error=None,
    )
    if not claimed:
        return None
    prediction.fence = fence
    return Attempt(prediction_id=prediction.pk, fence=fence)


def next_unclaimed(*, hardware: str, deployment_id: str | None = None, kind: str = "") -> str | None:
    """The oldest prediction that waits for this hardware, of one deployment or of none; of one kind or of all."""
    waiting = Prediction.objects.filter(
        status=Status.STARTING, lease_expires_at=None, hardware__sku=hardware, deployment_id=deployment_id
    )
    if kind:
        waiting = waiting.filter(kind=kind)
    return waiting.order_by("created_at").values_list("pk", flat=True).first()


def started(attempt: Attempt, *, now: dt.datetime | None = None) -> bool:
    """The model has taken the input: run time counts from here. False when the claim is lost."""
    rows = Prediction.objects.filter(attempt.mine, pk=attempt.prediction_id, status=Status.STARTING)
    return bool(rows.update(status=Status.PROCESSING, started_at=now or timezone.now()))


def is_mine(attempt: Attempt) -> bool:
    """Whether the prediction still runs under this claim (not canceled, not given to another)."""
    return Prediction.objects.filter(attempt.mine, pk=attempt.prediction_id, status__in=LIVE).exists()


def heartbeat(attempt: Attempt, *, elapsed_ms: int | None, now: dt.datetime | None = None) -> bool:
    """Renew the lease and keep the run paid ahead; False when the run must stop.

    `elapsed_ms` is the run time so far, None before the start (setting up costs nothing). A wallet or key that
    no longer pays ends the prediction as canceled, just before the time that is paid for is used up.
    """
    now = now or timezone.now()
    rows = Prediction.objects.filter(attempt.mine, pk=attempt.prediction_id, status__in=LIVE)
    if not rows.update(lease_expires_at=now + limits.LEASE):
        return False
    if elapsed_ms is None:
        return True
    prediction = Prediction.objects.only("covered_ms", "prices", "hold_id", "deadline").get(pk=attempt.prediction_id)
    left = prediction.covered_ms - elapsed_ms
    if left > limits.HOLD_AHEAD_MS - 2 * limits.HOLD_MARGIN_MS:
        return True
    refusal = _pay_ahead(prediction, attempt, elapsed_ms, now)
    if not refusal or left > limits.HOLD_MARGIN_MS:
        return True
    endings.end(
        prediction_id=attempt.prediction_id,
        status=Status.CANCELED,
        run_ms=elapsed_ms,
        error=refusal,
        only=attempt.mine,
        now=now,
    )
    return False


def _pay_ahead(prediction: Prediction, attempt: Attempt, elapsed_ms: int, now: dt.datetime) -> str:
    """Hold for another minute from now, or up to the deadline; the reason when that is refused."""
    target = elapsed_ms + limits.HOLD_AHEAD_MS
    if prediction.deadline is not None:
        to_deadline = max(0, int((prediction.deadline - now).total_seconds() * 1000))
        target = min(target, elapsed_ms + to_deadline + limits.HOLD_MARGIN_MS)
    if target <= prediction.covered_ms or prediction.hold_id is None:
        return ""
    more = cost_nano(prediction.prices, target) - cost_nano(prediction.prices, prediction.covered_ms)
    try:
        if holds.extend(hold_id=prediction.hold_id, amount_nano=more, expires_in=limits.HOLD_LIFE):
            Prediction.objects.filter(pk=attempt.prediction_id).update(covered_ms=target)
    except InsufficientCredit:
        return f"The wallet is empty: the run was stopped after {elapsed_ms / 1000:.1f} s. Add credit to run it again."
    except KeyLimitExceeded as error:
        return f"The key's limit is reached: the run was stopped after {elapsed_ms / 1000:.1f} s. {error.message}"
    except PaymentRequired as error:
        return f"The run was stopped after {elapsed_ms / 1000:.1f} s: {error.message}"
    return ""


def write(attempt: Attempt, **changes: Any) -> bool:
    """Write output or logs; False when the claim is lost."""
    rows = Prediction.objects.filter(attempt.mine, pk=attempt.prediction_id, status__in=LIVE)
    written = bool(rows.update(revision=F("revision") + 1, **changes))
    if written:
        waits.ring_later(attempt.prediction_id)
    return written


def give_back(attempt: Attempt, *, reason: str, now: dt.datetime | None = None) -> None:
    """Let another worker try; after the last attempt the prediction fails with the reason, free of charge."""
    prediction = Prediction.objects.only("attempts").get(pk=attempt.prediction_id)
    _requeue(prediction.pk, prediction.attempts, attempt.mine, reason, now or timezone.now())


def reap(*, now: dt.datetime | None = None) -> int:
    """Take back the predictions of workers that went silent; returns how many."""
    now = now or timezone.now()
    lost = Prediction.objects.filter(status__in=LIVE, lease_expires_at__lt=now)
    taken = list(lost.values_list("pk", "kind", "attempts", "fence")[:200])
    for prediction_id, kind, tries, fence in taken:
        # The run time of a lost worker is the platform's loss, also when another finishes the prediction.
        only = Q(fence=fence, lease_expires_at__lt=now)
        _requeue(prediction_id, tries, only, f"The worker that ran this {kind} was lost", now)
    return len(taken)


def _requeue(prediction_id: str, tries: int, only: Q, reason: str, now: dt.datetime) -> None:
    if tries >= limits.RUN_ATTEMPTS:
        endings.end(
            prediction_id=prediction_id,
            status=Status.FAILED,
            run_ms=0,
            error=f"{reason} (attempt {tries} of {limits.RUN_ATTEMPTS}; nothing was charged).",
            only=only,
            now=now,
        )
        return
    Prediction.objects.filter(only, pk=prediction_id, status__in=LIVE).update(
        status=Status.STARTING,
        lease_owner="",
        lease_expires_at=None,
        started_at=None,
        rung_at=now - dt.timedelta(minutes=1),
    )
