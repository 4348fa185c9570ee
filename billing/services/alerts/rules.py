"""What an account chooses to be told, where, and the secrets that its webhooks are signed with."""

from __future__ import annotations

import datetime as dt
from typing import Final
from urllib.parse import urlsplit

from django.utils import timezone

from billing.models import AlertRule
from billing.services import deliveries
from marketplace.lib import crypto, webhooks
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account
from marketplace.services import outbound

MOST_URL: Final = 2000
# For so long an old secret signs beside the new one.
OLD_SIGNS_FOR: Final = dt.timedelta(hours=24)


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
    if webhook_url and (refused := outbound.refusal(webhook_url)):
        raise InvalidRequest(f"The address would never be called: {refused}.", metadata={"field": "webhook_url"})
    rule, _ = AlertRule.objects.get_or_create(account=account)
    rule.low_balance_nano, rule.key_limits, rule.by_mail = low_balance_nano, key_limits, by_mail
    rule.webhook_url = webhook_url
    if webhook_url and not rule.secret:
        rule.secret = _sealed_secret(account)
    rule.save()
    return rule


def rotate(*, account: Account, now: dt.datetime | None = None) -> AlertRule:
    """A new secret, beside which the old one signs for a day; an older one than that ends at once.

    Raises InvalidRequest where there is no secret yet.
    """
    rule = rule_of(account_id=account.pk)
    if not rule.secret:
        raise InvalidRequest("There is no secret yet: give an address and save, that makes one.")
    rule.old_secret, rule.secret = rule.secret, _sealed_secret(account)
    rule.old_secret_until = (now or timezone.now()) + OLD_SIGNS_FOR
    rule.save(update_fields=["secret", "old_secret", "old_secret_until"])
    return rule


def secret_of(rule: AlertRule) -> str:
    """What the account's alerts are signed with; "" before there is an address."""
    return next(iter(deliveries.secrets(rule)), "")


def old_secret_until(rule: AlertRule, *, now: dt.datetime | None = None) -> dt.datetime | None:
    """Until when an old secret signs too; None when none does."""
    return rule.old_secret_until if len(deliveries.secrets(rule, now=now)) > 1 else None


def _sealed_secret(account: Account) -> str:
    return crypto.encrypt({"key": webhooks.new_secret()}, context=deliveries.context(account.pk))


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return len(url) <= MOST_URL and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
