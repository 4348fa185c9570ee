"""A line that was crossed is told once: not again before it is over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from billing.models import Alert, AlertRule, Delivery
from billing.services import deliveries
from billing.services.alerts import rules


def listed(*, account_id: int, most: int) -> list[Alert]:
    """The account's last alerts with their deliveries, the newest first."""
    rows = Alert.objects.for_account(account_id).prefetch_related("deliveries")
    return list(rows.order_by("-created_at", "-id")[:most])


def tell(
    *, account_id: int, kind: str, crossing: str, subject: str, text: str, data: Mapping[str, Any]
) -> Alert | None:
    """Write an alert and its deliveries; None when the same crossing was told of and is not over."""
    rule = rules.rule_of(account_id=account_id)
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                account_id=account_id, kind=kind, crossing=crossing, subject=subject[:200], text=text, data=dict(data)
            )
            deliveries.begin(alert=alert, ways=_ways(rule))
    except IntegrityError:  # another process was faster
        return None
    return alert


def going_on(kind: str) -> QuerySet[Alert]:
    """The crossings of this kind that were told and are not over."""
    return Alert.objects.filter(kind=kind, over_at=None)


def end(rows: QuerySet[Alert], now: dt.datetime) -> None:
    """They are over: the next one is told again."""
    rows.update(over_at=now)


def _ways(rule: AlertRule) -> Iterable[str]:
    if rule.by_mail:
        yield Delivery.Way.MAIL
    if rule.webhook_url:
        yield Delivery.Way.WEBHOOK
