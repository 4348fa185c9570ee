"""Telling of alerts: an outbox. Rows are written with the alert; each try is claimed by a conditional UPDATE.

Webhooks are signed the Standard Webhooks way and sent through the guarded transport: an address that may not be
called is refused there. The same message id goes with every try, so that a receiver knows what it has seen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.utils import timezone

from billing.models import Alert, AlertRule, Delivery
from marketplace.lib import crypto, jobs
from marketplace.models import Member
from marketplace.services import outbound

TASK: Final = "billing.deliver_alert"
# Seconds after each try that failed; after the last one it is given up: a day and a half in all.
DELAYS: Final = (10, 60, 300, 1_800, 7_200, 21_600, 43_200, 43_200)
LEASE: Final = dt.timedelta(seconds=60)
SECONDS: Final = 10.0
RING_AT_ONCE: Final = 100
# Where an alert's mail leads; the others to the credits page.
PAGES: Final[dict[str, str]] = {
    Alert.Kind.KEY_LIMIT: "keys",
    Alert.Kind.PAYOUT_SENT: "earnings",
    Alert.Kind.PAYOUT_FAILED: "earnings",
    Alert.Kind.PAYOUT_RETURNED: "earnings",
}


def begin(*, alert: Alert, ways: Iterable[str], now: dt.datetime | None = None) -> None:
    """Make an alert due on these ways; in the transaction that writes it."""
    for way in ways:
        row = Delivery.objects.create(alert=alert, way=way, due_at=now or timezone.now())
        jobs.enqueue(TASK, delivery_id=row.pk)


def deliver(*, delivery_id: int, now: dt.datetime | None = None) -> bool:
    """One try at a delivery that is due; whether it arrived."""
    now = now or timezone.now()
    rows = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.DUE)
    if not rows.filter(due_at__lte=now).update(due_at=now + LEASE, tries=F("tries") + 1):
        return False
    row = Delivery.objects.select_related("alert__account").get(pk=delivery_id)
    outcome, again = _mail(row.alert) if row.way == Delivery.Way.MAIL else _post(row.alert)
    mine = rows.filter(tries=row.tries)
    if not outcome:
        mine.update(state=Delivery.State.TOLD, due_at=None, outcome="")
    elif again and row.tries <= len(DELAYS):
        mine.update(due_at=now + dt.timedelta(seconds=DELAYS[row.tries - 1]), outcome=outcome[:300])
    else:
        mine.update(state=Delivery.State.GIVEN_UP, due_at=None, outcome=outcome[:300])
    return not outcome


def ring(now: dt.datetime | None = None) -> int:
    """Ring for deliveries whose time has come: a retry, or a doorbell that was lost. Returns how many."""
    due = Delivery.objects.filter(state=Delivery.State.DUE, due_at__lte=now or timezone.now())
    numbers = list(due.order_by("due_at").values_list("pk", flat=True)[:RING_AT_ONCE])
    for number in numbers:
        jobs.enqueue(TASK, delivery_id=number)
    return len(numbers)


def context(account_id: int) -> str:
    """What an account's sealed secret is bound to."""
    return f"alerts:{account_id}"


def secrets(rule: AlertRule, *, now: dt.datetime | None = None) -> list[str]:
    """What the account's alerts are signed with: its secret, and for a while the one before; none before the first."""
    is_old_good = rule.old_secret_until is not None and (now or timezone.now()) < rule.old_secret_until
    sealed = [rule.secret, rule.old_secret if is_old_good else ""]
    return [str(crypto.decrypt(one, context=context(rule.pk))["key"]) for one in sealed if one]


def body(alert: Alert) -> dict[str, Any]:
    """An alert as its webhook has it."""
    return {
        "type": f"alert.{alert.kind}",
        "timestamp": alert.created_at.isoformat(),
        "data": {"account": alert.account.slug, "subject": alert.subject, "text": alert.text, **alert.data},
    }


def _mail(alert: Alert) -> tuple[str, bool]:
    people = Member.objects.filter(account=alert.account, role__in=[Member.Role.OWNER, Member.Role.ADMIN])
    addresses = [address for address in people.values_list("user__email", flat=True) if address]
    if not addresses:
        return "nobody manages this account", False
    text = f"{alert.text}\n\nAccount: {alert.account.slug}\n"
    text += f"See {_page(PAGES.get(alert.kind, 'credits'))}\nChoose what you are told on {_page('alerts')}"
    try:
        send_mail(alert.subject, text, None, addresses)
    except OSError as error:
        return f"the mail server did not take it: {type(error).__name__}", True
    return "", False


def _page(name: str) -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}/{name}" if settings.PUBLIC_URL else f"the {name} page"


def _post(alert: Alert) -> tuple[str, bool]:
    rule = AlertRule.objects.for_account(alert.account_id).first()
    if rule is None or not rule.webhook_url:
        return "the address was taken away", False
    secret, *older = secrets(rule)
    return outbound.post(
        url=rule.webhook_url,
        content=json.dumps(body(alert), ensure_ascii=False).encode(),
        secret=secret,
        older=older,
        message_id=f"msg_{alert.pk.hex}",
        seconds=SECONDS,
    )
