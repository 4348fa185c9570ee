"""What providers were asked for and what callers paid for it, for their operators."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from billing.services import balances
from routing.models import Generation

DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Sales:
    """Requests that were answered, and what callers paid for them, in nano-USD before the house's share."""

    requests: int = 0
    paid_nano: int = 0


def by_endpoint(*, provider_id: int) -> dict[int, Sales]:
    """Endpoint id -> its sales of the last 30 days; what callers asked for with keys of their own is not sold by us."""
    rows = Generation.objects.filter(
        provider_id=provider_id,
        endpoint__isnull=False,
        is_byok=False,
        created_at__gte=timezone.now() - dt.timedelta(days=DAYS),
    )
    answered = Count("pk", filter=Q(status=Generation.Status.FINISHED))
    sums = rows.order_by().values_list("endpoint_id").annotate(requests=answered, paid=Sum("cost_nano"))
    return {endpoint_id: Sales(requests, paid or 0) for endpoint_id, requests, paid in sums}


def unpaid(*, account_id: int) -> int:
    """Nano-USD that the account's providers have earned and that was not paid out yet."""
    return balances.of(kind="provider_payable", owner_id=account_id)


def share_percent() -> str:
    """The operators' part of what callers pay, such as "95"."""
    return f"{settings.PROVIDER_SHARE_BPS / 100:g}"
