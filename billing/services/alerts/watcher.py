"""The watch over balances and keys' limits, by the clock, so that no request pays for it."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db.models import F, Q
from django.utils import timezone

from billing.models import Alert, AlertRule, Budget, Wallet
from billing.services import budgets
from billing.services.alerts import crossings
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey

# Percent of a key's limit that is told of.
MARKS: Final = (80, 100)
KEPT: Final = dt.timedelta(days=90)


def watch(now: dt.datetime | None = None) -> int:
    """Look at balances and key limits; returns how many alerts were raised. Several at once tell each line once."""
    now = now or timezone.now()
    raised = _watch_balances(now) + _watch_keys(now)
    goes_on = Q(over_at=None, kind__in=[Alert.Kind.LOW_BALANCE, Alert.Kind.KEY_LIMIT])
    Alert.objects.filter(~goes_on, created_at__lt=now - KEPT).delete()
    return raised


def _watch_balances(now: dt.datetime) -> int:
    """The balance with what runs still in it: what is merely held comes back."""
    left = F("account__wallet__balance_nano") + F("account__wallet__credit_limit_nano")
    rules = AlertRule.objects.annotate(left=left)
    low = rules.filter(low_balance_nano__gt=F("left"))
    told = set(crossings.going_on(Alert.Kind.LOW_BALANCE).values_list("account_id", flat=True))
    # Over is over for those without a threshold too: a new one begins anew.
    crossings.end(crossings.going_on(Alert.Kind.LOW_BALANCE).exclude(account_id__in=low.values("pk")), now)
    raised = [_low(rule) for rule in low.exclude(pk__in=told)]
    return sum(one is not None for one in raised)


def _low(rule: AlertRule) -> Alert | None:
    wallet = Wallet.objects.get(account_id=rule.pk)
    threshold = rule.low_balance_nano or 0
    left = wallet.balance_nano + wallet.credit_limit_nano
    return crossings.tell(
        account_id=rule.pk,
        kind=Alert.Kind.LOW_BALANCE,
        crossing="balance",
        subject=f"Balance below ${format_usd(threshold)}",
        text=f"${_written(left)} is left, less than your threshold of ${format_usd(threshold)}. "
        "Requests are refused when nothing is left. Top up, or switch automatic top-up on.",
        data={"balance_usd": _written(left), "threshold_usd": format_usd(threshold)},
    )


def _watch_keys(now: dt.datetime) -> int:
    """Keys by what they have spent in the present period of their limit."""
    present = Q()
    for reset in ApiKey.Reset.values:
        present |= Q(key__limit_reset=reset, period_start=budgets.period_start(reset, now))
    rows = (
        Budget.objects.filter(present, key__limit_nano__gt=0, key__deleted_at=None, key__is_playground=False)
        .filter(spent_nano__gte=F("key__limit_nano") / 100 * min(MARKS))
        .select_related("key")
    )
    silent = set(AlertRule.objects.filter(key_limits=False).values_list("pk", flat=True))
    crossed = {
        _crossing(budget, mark): (budget, mark)
        for budget in rows
        for mark in MARKS
        if budget.spent_nano * 100 >= (budget.key.limit_nano or 0) * mark and budget.key.account_id not in silent
    }
    # A period that rolled, a limit that was raised: the next crossing is a new one.
    crossings.end(crossings.going_on(Alert.Kind.KEY_LIMIT).exclude(crossing__in=crossed), now)
    told = set(crossings.going_on(Alert.Kind.KEY_LIMIT).values_list("crossing", flat=True))
    raised = [_reached(*crossed[name]) for name in crossed.keys() - told]
    return sum(one is not None for one in raised)


def _crossing(budget: Budget, mark: int) -> str:
    return f"key:{budget.key_id}:{budget.period_start:%Y-%m-%d}:{mark}"


def _reached(budget: Budget, mark: int) -> Alert | None:
    key = budget.key
    limit = key.limit_nano or 0
    starts = budgets.period_end(key.limit_reset, budget.period_start)
    when = f"It starts anew at {starts:%Y-%m-%d %H:%M} UTC." if starts else "It never starts anew."
    then = "Requests with this key are refused now." if mark >= 100 else "Beyond the limit its requests are refused."
    return crossings.tell(
        account_id=key.account_id,
        kind=Alert.Kind.KEY_LIMIT,
        crossing=_crossing(budget, mark),
        subject=f"{mark} % of a key's limit is spent",
        text=f"The key “{key.name}” ({key.label}) has spent ${format_usd(budget.spent_nano)} of its limit of "
        f"${format_usd(limit)}. {when} {then}",
        data={
            "key": {"name": key.name, "label": key.label, "hash": key.digest},
            "percent": mark,
            "spent_usd": format_usd(budget.spent_nano),
            "limit_usd": format_usd(limit),
            "limit_reset": key.limit_reset or None,
            "resets_at": starts.isoformat() if starts else None,
        },
    )


def _written(nano: int) -> str:
    return format_usd(nano) if nano >= 0 else f"-{format_usd(-nano)}"
