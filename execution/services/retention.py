"""Data that goes after its time: predictions' inputs and outputs, files, idempotency names."""

from __future__ import annotations

import datetime as dt

from django.db.models import Q
from django.utils import timezone

from execution import limits
from execution.models import File, IdempotencyKey, Prediction
from execution.services import files

_BATCH = 200


def remove_old_data(*, now: dt.datetime | None = None) -> int:
    """Remove what is due; returns how many predictions lost their data. The rows, with times and cost, stay."""
    now = now or timezone.now()
    old = Q(source=Prediction.Source.API, completed_at__lt=now - limits.API_RETENTION)
    old |= Q(source=Prediction.Source.WEB, completed_at__lt=now - limits.WEB_RETENTION)
    due = list(Prediction.objects.filter(old, data_removed=False).values_list("pk", flat=True)[:_BATCH])
    for prediction_id in due:
        for file in File.objects.filter(prediction_id=prediction_id):
            files.delete(file)
        Prediction.objects.filter(pk=prediction_id).update(input={}, output=None, logs="", data_removed=True)
    for file in File.objects.filter(expires_at__lt=now)[:_BATCH]:
        files.delete(file)
    IdempotencyKey.objects.filter(created_at__lt=now - limits.IDEMPOTENCY_LIFE).delete()
    return len(due)
