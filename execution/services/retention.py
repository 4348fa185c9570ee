"""Data that goes after its time: predictions' inputs and outputs, files, uploads, idempotency names."""

from __future__ import annotations

import datetime as dt

from django.db.models import Q
from django.utils import timezone

from execution import limits
from execution.models import File, IdempotencyKey, Prediction
from execution.services import files, uploads

_BATCH = 200


def remove_old_data(*, now: dt.datetime | None = None) -> int:
    """Remove what is due; returns how many predictions lost their data. The rows, with times and cost, stay."""
    now = now or timezone.now()
    old = Q(source=Prediction.Source.API, completed_at__lt=now - limits.API_RETENTION)
    old |= Q(source=Prediction.Source.WEB, completed_at__lt=now - limits.WEB_RETENTION)
    old &= Q(data_removed=False, example=Prediction.Example.NONE)  # what is shown as an example stays
    due = list(Prediction.objects.filter(old).values_list("pk", flat=True)[:_BATCH])
    removed = 0
    for prediction_id in due:
        # Asked again with the row itself: its owner may be making an example of it now.
        still = Prediction.objects.filter(old, pk=prediction_id)
        if still.update(input={}, output=None, logs="", data_removed=True):
            removed += 1
            for file in File.objects.filter(prediction_id=prediction_id):
                files.delete(file)
    for file in File.objects.filter(expires_at__lt=now)[:_BATCH]:
        files.delete(file)
    uploads.remove_expired(now=now)
    IdempotencyKey.objects.filter(created_at__lt=now - limits.IDEMPOTENCY_LIFE).delete()
    return removed
