"""Alerts: once for each crossing, on the ways that were chosen, until they are heard."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.core import mail
from django.utils import timezone
from replicate.webhook import Webhooks, WebhookSigningSecret

from billing.models import Alert, AlertRule, Delivery
from billing.rating import rate
from billing.services import deliveries, holds
from billing.services.alerts import crossings, events, rules, watcher
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.billing.services.test_holds import in_threads
from tests.factories import marketplace as make
from tests.factories.billing import fund
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db

DOLLAR = 10**9
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Takes webhooks, at an address that may be called."""
    with Receiver() as made:
        settings.PRIVATE_ORIGINS = {made.origin}
        yield made


@pytest.fixture
def alice(db: None) -> Account:
    """An account with ten dollars."""
    account = make.account()
    fund(account, "10.00")
    return account


def choose(account: Account, **given: Any) -> None:
    """Choices: the defaults but for what is said."""
    chosen = {"low_balance_nano": None, "key_limits": True, "by_mail": True, "webhook_url": ""} | given
    rules.choose(account=account, **chosen)


def spend(account: Account, nano: int, *, key: ApiKey | None = None) -> None:
    """A request that costs so much."""
    hold = holds.place(
        account_id=account.pk,
        key_id=key.pk if key else None,
        amount_nano=nano,
        kind="chat",
        reference=str(timezone.now().timestamp()),
        expires_in=dt.timedelta(minutes=1),
    )
    holds.settle(hold_id=hold.pk, rated=rate({"prompt": 10**6}, {"prompt": nano}))


def deliver(now: dt.datetime | None = None) -> list[bool]:
    """Each delivery that is not over, tried once."""
    rows = Delivery.objects.filter(state=Delivery.State.DUE).order_by("pk")
    return [deliveries.deliver(delivery_id=row.pk, now=now) for row in rows]


def subjects(account: Account) -> list[str]:
    """What was told, the newest first."""
    return [row.subject for row in crossings.listed(account_id=account.pk, most=20)]


def test_a_low_balance_is_told_once_until_it_has_recovered(alice: Account) -> None:
    choose(alice, low_balance_nano=5 * DOLLAR)
    assert watcher.watch() == 0
    spend(alice, 6 * DOLLAR)
    assert (watcher.watch(), watcher.watch()) == (1, 0)
    assert deliver() == [True]
    [told] = mail.outbox
    assert (told.subject, told.to) == ("Balance below $5.00", ["alice@example.com"])
    assert "$4.00 is left" in told.body
    fund(alice, "3.00")
    assert watcher.watch() == 0
    assert Alert.objects.get().over_at is not None
    spend(alice, 4 * DOLLAR)
    assert watcher.watch() == 1
    assert subjects(alice) == ["Balance below $5.00"] * 2


def test_what_is_merely_held_is_no_low_balance(alice: Account) -> None:
    choose(alice, low_balance_nano=5 * DOLLAR)
    holds.place(
        account_id=alice.pk, key_id=None, amount_nano=9 * DOLLAR, kind="chat", reference="1",
        expires_in=dt.timedelta(minutes=1),
    )  # fmt: skip
    assert watcher.watch() == 0


def test_nobody_is_told_of_a_balance_without_a_threshold(alice: Account) -> None:
    spend(alice, 10 * DOLLAR)
    assert watcher.watch() == 0


def test_a_keys_limit_is_told_at_80_and_100_percent_and_anew_in_the_next_period(alice: Account) -> None:
    key, _ = keys.issue(account=alice, name="ci", limit_nano=DOLLAR, limit_reset="daily")
    with mock.patch("billing.services.budgets.database_now", return_value=NOON):
        spend(alice, 799_999_999, key=key)
        assert watcher.watch(NOON) == 0
        spend(alice, 1, key=key)
        assert (watcher.watch(NOON), watcher.watch(NOON)) == (1, 0)
        spend(alice, 200_000_000, key=key)
        assert (watcher.watch(NOON), watcher.watch(NOON)) == (1, 0)
    assert subjects(alice) == ["100 % of a key's limit is spent", "80 % of a key's limit is spent"]
    deliver()
    assert "“ci”" in mail.outbox[0].body
    assert "2026-11-21 00:00 UTC" in mail.outbox[0].body
    tomorrow = NOON + dt.timedelta(days=1)
    assert watcher.watch(tomorrow) == 0
    assert not Alert.objects.filter(over_at=None).exists()
    with mock.patch("billing.services.budgets.database_now", return_value=tomorrow):
        spend(alice, DOLLAR, key=key)
    assert watcher.watch(tomorrow) == 2


def test_a_raised_limit_is_a_recovery(alice: Account) -> None:
    key, _ = keys.issue(account=alice, name="ci", limit_nano=DOLLAR)
    spend(alice, 900_000_000, key=key)
    assert watcher.watch() == 1
    keys.change(account=alice, key_id=key.pk, limit=(2 * DOLLAR, ""))
    assert watcher.watch() == 0
    spend(alice, 700_000_000, key=key)
    assert watcher.watch() == 1


def test_keys_of_those_who_do_not_want_to_know_are_left_alone(alice: Account) -> None:
    choose(alice, key_limits=False)
    key, _ = keys.issue(account=alice, name="ci", limit_nano=DOLLAR)
    spend(alice, DOLLAR, key=key)
    assert watcher.watch() == 0


@pytest.mark.django_db(transaction=True)
def test_many_watchers_at_once_tell_once() -> None:
    account = make.account()
    fund(account, "10.00")
    choose(account, low_balance_nano=20 * DOLLAR)
    assert sum(in_threads(8, lambda n: watcher.watch())) == 1  # type: ignore[arg-type]
    assert Delivery.objects.count() == 1


def test_a_webhook_is_signed_and_tried_again_under_the_same_id_until_it_is_heard(
    alice: Account, receiver: Receiver
) -> None:
    choose(alice, by_mail=False, webhook_url=f"{receiver.url}/hook", low_balance_nano=20 * DOLLAR)
    receiver.statuses = [500]
    watcher.watch()
    now = timezone.now()
    assert deliver(now) == [False]
    assert deliver(now) == [False]  # not due yet
    assert Delivery.objects.get().outcome == "answered with status 500"
    assert deliveries.ring(now) == 0
    later = now + dt.timedelta(seconds=deliveries.DELAYS[0])
    assert deliveries.ring(later) == 1
    assert deliver(later) == [True]
    (first, _), (headers, body) = receiver.got
    assert first["webhook-id"] == headers["webhook-id"]
    secret = rules.secret_of(rules.rule_of(account_id=alice.pk))
    Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=secret), tolerance=60)
    told = json.loads(body)
    assert told["type"] == "alert.low_balance"
    assert told["data"]["balance_usd"] == "10.00"
    assert told["data"]["account"] == alice.slug
    assert mail.outbox == []


def test_a_new_secret_signs_and_the_old_one_beside_it_for_a_day(alice: Account, receiver: Receiver) -> None:
    choose(alice, by_mail=False, webhook_url=receiver.url)
    old = rules.secret_of(rules.rule_of(account_id=alice.pk))
    new = rules.secret_of(rules.rotate(account=alice))
    assert new != old
    events.test(account=alice)
    deliver()
    headers, body = receiver.got[-1]
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=secret), tolerance=60)
    # A day later, and at once where it is made anew again, it is the present one alone.
    AlertRule.objects.update(old_secret_until=timezone.now())
    events.test(account=alice)
    deliver()
    headers, body = receiver.got[-1]
    Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=new), tolerance=60)
    with pytest.raises(Exception, match="signature"):
        Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=old), tolerance=60)


def test_there_is_nothing_to_replace_before_the_first_secret(alice: Account) -> None:
    with pytest.raises(InvalidRequest, match="no secret yet"):
        rules.rotate(account=alice)
    assert rules.old_secret_until(rules.rule_of(account_id=alice.pk)) is None


@pytest.mark.parametrize(
    ("url", "says"), [("http://127.0.0.1:9/hook", "not called"), ("http://169.254.169.254/", "not called")]
)
def test_an_address_inside_is_never_called_and_given_up_at_once(alice: Account, url: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match="would never be called"):
        choose(alice, by_mail=False, webhook_url=url)
    choose(alice, by_mail=False, webhook_url="https://hooks.example.com/")
    AlertRule.objects.update(webhook_url=url)  # as if the name led there
    events.test(account=alice)
    assert deliver() == [False]
    row = Delivery.objects.get()
    assert row.state == Delivery.State.GIVEN_UP
    assert says in row.outcome


def test_after_the_last_try_it_is_given_up(alice: Account, receiver: Receiver) -> None:
    receiver.statuses = [503] * 20
    choose(alice, by_mail=False, webhook_url=receiver.url)
    events.test(account=alice)
    now = timezone.now()
    for _ in range(20):
        deliver(now)
        now += dt.timedelta(days=1)
    assert len(receiver.got) == len(deliveries.DELAYS) + 1
    assert Delivery.objects.get().state == Delivery.State.GIVEN_UP


def test_a_mail_server_that_is_away_is_tried_again(alice: Account) -> None:
    events.test(account=alice)
    now = timezone.now()
    with mock.patch("billing.services.deliveries.send_mail", side_effect=ConnectionRefusedError):
        assert deliver(now) == [False]
    assert deliver(now + dt.timedelta(seconds=deliveries.DELAYS[0])) == [True]
    assert [told.subject for told in mail.outbox] == ["This is a test"]


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com", "http://", "https://[", "http://a:99999/"])
def test_what_is_no_address_is_not_kept(alice: Account, url: str) -> None:
    with pytest.raises(InvalidRequest, match="http or https"):
        choose(alice, webhook_url=url)


def test_a_test_needs_a_way(alice: Account) -> None:
    choose(alice, by_mail=False)
    with pytest.raises(InvalidRequest, match="no way"):
        events.test(account=alice)


def test_old_alerts_go_and_those_that_go_on_stay(alice: Account) -> None:
    choose(alice, low_balance_nano=20 * DOLLAR)
    events.test(account=alice)
    watcher.watch()
    Alert.objects.update(created_at=timezone.now() - watcher.KEPT * 2)
    watcher.watch()
    assert subjects(alice) == ["Balance below $20.00"]
