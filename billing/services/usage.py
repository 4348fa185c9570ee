"""What accounts and keys have spent, read from the charges."""

from __future__ import annotations

import datetime as dt

from django.db.models import Sum
from django.utils import timezone

from billing.models import Charge
from billing.services import budgets
from marketplace.models import ApiKey


def spent(*, account_id: int, key_id: int | None = None, since: dt.datetime | None = None) -> int:
    """Nano-USD charged to an account, or to one of its keys, since a moment (or ever)."""
    rows = Charge.objects.for_account(account_id)
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    return int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)


def of_key(key: ApiKey) -> dict[str, int]:
    """What a key has spent: `total`, and this UTC `daily`, `weekly` and `monthly` period."""
    now = timezone.now()
    periods = {
        reset: spent(account_id=key.account_id, key_id=key.pk, since=budgets.period_start(reset, now))
        for reset in ("daily", "weekly", "monthly")
    }
    return {"total": spent(account_id=key.account_id, key_id=key.pk), **periods}
