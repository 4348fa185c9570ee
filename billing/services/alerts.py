"""Alerts about money: low balance, key limits, top-ups that failed; told once for each crossing of a line.

An alert is written in the transaction of what it tells of, with a delivery for each way that the account chose
(services.deliveries); a crossing that is not over is not told again. Balances and limits are looked at by the
clock, so that no request pays for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from billing.models import Alert, AlertRule, Budget, Delivery, Invoice, Payout, TopUp, Wallet
from billing.services import budgets, deliveries
from marketplace.lib import crypto, ids, webhooks
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO_PER_CENT, format_usd
from marketplace.models import Account, ApiKey

# Percent of a key's limit that is told of.
MARKS: Final = (80, 100)
MOST_URL: Final = 2000
KEPT: Final = dt.timedelta(days=90)


# -- what the account chooses


def rule_of(*, account_id: int) -> AlertRule:
    """The account's choices, or the defaults, which are not stored: key limits and top-ups, by mail."""
    return AlertRule.objects.for_account(account_id).first() or AlertRule(account_id=account_id)


def choose(
    *, account: Account, low_balance_nano: int | None, key_limits: bool, by_mail: bool, webhook_url: str
) -> AlertRule:
    """Keep an account's choices. Raises InvalidRequest for an address or a threshold that is none."""
    if low_balance_nano is not None and low_balance_nano <= 0:
        raise InvalidRequest("A threshold is more than zero dollars.", metadata={"field": "low_balance"})
    if webhook_url and not _is_address(webhook_url):
        raise InvalidRequest(
            f"The address is an http or https URL of at most {MOST_URL} characters.", metadata={"field": "webhook_url"}
        )
    rule, _ = AlertRule.objects.get_or_create(account=account)
    rule.low_balance_nano, rule.key_limits, rule.by_mail = low_balance_nano, key_limits, by_mail
    rule.webhook_url = webhook_url
    if webhook_url and not rule.secret:
        rule.secret = crypto.encrypt({"key": webhooks.new_secret()}, context=deliveries.context(account.pk))
    rule.save()
    return rule


def secret_of(rule: AlertRule) -> str:
    """What the account's alerts are signed with; "" before there is an address."""
    return deliveries.secret(rule)


def listed(*, account_id: int, most: int) -> list[Alert]:
    """The account's last alerts with their deliveries, the newest first."""
    rows = Alert.objects.for_account(account_id).prefetch_related("deliveries")
    return list(rows.order_by("-created_at", "-id")[:most])


def test(*, account: Account) -> Alert:
    """Send an alert that says that alerts arrive. Raises InvalidRequest when there is no way to send it by."""
    rule = rule_of(account_id=account.pk)
    if not rule.by_mail and not rule.webhook_url:
        raise InvalidRequest("There is no way to send it by: choose mail or give an address, and save.")
    made = _raise(
        account_id=account.pk,
        kind=Alert.Kind.TEST,
        crossing=f"test:{ids.random_token(12)}",
        subject="This is a test",
        text="Alerts of this account arrive here. Nothing has happened to its money.",
        data={},
    )
    assert made is not None  # noqa: S101  no other has its crossing
    return made


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return len(url) <= MOST_URL and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


# -- what happens


def topup_failed(*, topup: TopUp, message: str, stops: bool) -> None:
    """A saved card was refused. In the transaction that says so."""
    end = (
        "Automatic top-up is switched off now. Change the card by topping up by hand, then switch it on again."
        if stops
        else "We will try again later. You can top up by hand meanwhile."
    )
    _raise(
        account_id=topup.account_id,
        kind=Alert.Kind.TOPUP_FAILED,
        crossing=f"topup:{topup.pk}:failed",
        subject="Automatic top-up failed",
        text=f"The card was not charged ${_amount(topup)}: {message}\n\n{end}",
        data=_of_topup(topup) | {"reason": message, "is_switched_off": stops},
    )


def confirmation_needed(*, topup: TopUp) -> None:
    """The bank wants its customer to confirm a payment."""
    _raise(
        account_id=topup.account_id,
        kind=Alert.Kind.CONFIRMATION_NEEDED,
        crossing=f"topup:{topup.pk}:confirm",
        subject="Confirm your top-up",
        text=f"Your bank wants you to confirm the payment of ${_amount(topup)}. Until then nothing is charged.",
        data=_of_topup(topup),
    )


def invoice_refused(*, invoice: Invoice) -> None:
    """The card on file did not pay an invoice; told for each try of Stripe's."""
    text = f"The card was not charged ${_asked(invoice)} for invoice {invoice.number}."
    text += " Stripe tries again; you can pay it now."
    _raise(
        account_id=invoice.account_id,
        kind=Alert.Kind.INVOICE_REFUSED,
        crossing=f"invoice:{invoice.pk}:refused:{invoice.attempts}",
        subject="Invoice not paid",
        text=f"{text}\n\n{invoice.url}".strip(),
        data=_of_invoice(invoice),
    )


def invoice_overdue(*, invoice: Invoice) -> None:
    """An invoice is overdue, and requests are refused."""
    text = f"Invoice {invoice.number} of ${_asked(invoice)} is overdue: requests are refused until it is paid."
    _raise(
        account_id=invoice.account_id,
        kind=Alert.Kind.INVOICE_OVERDUE,
        crossing=f"invoice:{invoice.pk}:overdue:{ids.random_token(8)}",  # overdue again is told again
        subject="Invoice overdue",
        text=f"{text}\n\n{invoice.url}".strip(),
        data=_of_invoice(invoice),
    )


def payout_sent(*, payout: Payout) -> None:
    """Earnings are on their way."""
    text = "of your earnings were sent to your account at Stripe, which pays your bank."
    _of_payout(payout, Alert.Kind.PAYOUT_SENT, payout.amount_nano, "Payout sent", text)


def payout_failed(*, payout: Payout) -> None:
    """Stripe did not take a payout."""
    text = f"could not be sent: {payout.error}\n\nThey are owed to you; we try again."
    _of_payout(payout, Alert.Kind.PAYOUT_FAILED, payout.amount_nano, "Payout failed", text)


def payout_returned(*, payout: Payout, amount_nano: int) -> None:
    """What was sent was taken back."""
    text = "of a payout were taken back at Stripe. They are owed to you; payouts are paused."
    _of_payout(payout, Alert.Kind.PAYOUT_RETURNED, amount_nano, "Payout taken back", text)


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
    told = set(_open(Alert.Kind.LOW_BALANCE).values_list("account_id", flat=True))
    # Over is over for those without a threshold too: a new one begins anew.
    _end(_open(Alert.Kind.LOW_BALANCE).exclude(account_id__in=low.values("pk")), now)
    raised = [_low(rule) for rule in low.exclude(pk__in=told)]
    return sum(one is not None for one in raised)


def _low(rule: AlertRule) -> Alert | None:
    wallet = Wallet.objects.get(account_id=rule.pk)
    threshold = rule.low_balance_nano or 0
    left = wallet.balance_nano + wallet.credit_limit_nano
    return _raise(
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
    _end(_open(Alert.Kind.KEY_LIMIT).exclude(crossing__in=crossed), now)
    told = set(_open(Alert.Kind.KEY_LIMIT).values_list("crossing", flat=True))
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
    return _raise(
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


def _open(kind: str) -> Any:
    return Alert.objects.filter(kind=kind, over_at=None)


def _end(rows: Any, now: dt.datetime) -> None:
    rows.update(over_at=now)


def _raise(
    *, account_id: int, kind: str, crossing: str, subject: str, text: str, data: Mapping[str, Any]
) -> Alert | None:
    """Write an alert and its deliveries; None when the same crossing was told of and is not over."""
    rule = rule_of(account_id=account_id)
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                account_id=account_id, kind=kind, crossing=crossing, subject=subject[:200], text=text, data=dict(data)
            )
            deliveries.begin(alert=alert, ways=_ways(rule))
    except IntegrityError:  # another process was faster
        return None
    return alert


def _ways(rule: AlertRule) -> Iterable[str]:
    if rule.by_mail:
        yield Delivery.Way.MAIL
    if rule.webhook_url:
        yield Delivery.Way.WEBHOOK


def _of_topup(topup: TopUp) -> dict[str, Any]:
    return {"topup_id": str(topup.pk), "amount_usd": _amount(topup)}


def _of_payout(payout: Payout, kind: str, amount_nano: int, subject: str, text: str) -> None:
    _raise(
        account_id=payout.account_id,
        kind=kind,
        crossing=f"payout:{payout.pk}:{ids.random_token(8)}",  # the caller tells each once
        subject=subject,
        text=f"${format_usd(amount_nano)} {text}",
        data={"payout_id": str(payout.pk), "amount_usd": format_usd(amount_nano)},
    )


def _of_invoice(invoice: Invoice) -> dict[str, Any]:
    return {"invoice": invoice.number, "amount_usd": _asked(invoice), "url": invoice.url}


def _asked(invoice: Invoice) -> str:
    return format_usd(invoice.amount_cents * NANO_PER_CENT)


def _amount(topup: TopUp) -> str:
    return format_usd(topup.total_cents * NANO_PER_CENT)


def _written(nano: int) -> str:
    return format_usd(nano) if nano >= 0 else f"-{format_usd(-nano)}"
