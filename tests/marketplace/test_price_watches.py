"""Price-change alerts: once per change, to those who still may know."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from marketplace.models import Endpoint, Member, Model, PriceWatch
from marketplace.services import prices, watches
from marketplace.tasks import tell_prices
from tests.factories.marketplace import account
from tests.factories.routing import endpoint

pytestmark = pytest.mark.django_db
LATER = dt.timedelta(minutes=5)


@pytest.fixture
def served() -> Endpoint:
    return endpoint("http://127.0.0.1:9/v1", provider="sim-one", per_million={"prompt": "0.60", "completion": "1.00"})


@pytest.fixture
def browser(served: Endpoint) -> Client:
    made = account(email="watcher@example.com")
    client = Client()
    client.force_login(Member.objects.get(account=made).user)
    assert client.post("/models/acme/small/watch").status_code == 302
    return client


def change(at: Endpoint, dollars_thousandths: int, *, after: dt.timedelta = dt.timedelta(minutes=1)) -> dt.datetime:
    when = timezone.now() + after
    new = {"prompt": dollars_thousandths * 1_000_000, "completion": 1_000_000_000}
    assert prices.set_prices(prices=new, endpoint=at, now=when)
    return when


def test_a_change_is_told_once_in_words_that_say_what_it_was(browser: Client, served: Endpoint) -> None:
    when = change(served, 480)
    assert [watches.tell_due(now=when + LATER) for _ in range(3)] == [1, 0, 0]
    [told] = mail.outbox
    assert told.to == ["watcher@example.com"]
    assert "prompt: $0.60 -> $0.48/M tokens (cheaper" in told.body
    assert "completion" not in told.body
    assert told.body.strip().endswith("/acme/small")
    again = change(served, 700, after=dt.timedelta(minutes=10))
    assert watches.tell_due(now=again + LATER) == 1
    assert "$0.48 -> $0.70/M tokens (dearer" in mail.outbox[1].body


def test_what_was_before_the_watch_or_has_not_settled_is_not_told(browser: Client, served: Endpoint) -> None:
    tell_prices()
    assert mail.outbox == []
    when = change(served, 480)
    assert watches.tell_due(now=when) == 0
    assert watches.tell_due(now=when + LATER) == 1


def test_a_new_provider_is_no_change(browser: Client) -> None:
    endpoint("http://127.0.0.1:8/v1", provider="sim-two")
    assert watches.tell_due(now=timezone.now() + LATER) == 0
    assert mail.outbox == []


def test_a_mail_server_that_is_away_is_tried_again(
    browser: Client, served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise ConnectionRefusedError

    when = change(served, 480)
    with monkeypatch.context() as away:
        away.setattr(watches, "send_mail", refuse)
        assert watches.tell_due(now=when + LATER) == 0
    assert watches.tell_due(now=when + LATER) == 1


def test_who_left_the_account_or_may_not_see_the_model_any_more_is_not_told(browser: Client, served: Endpoint) -> None:
    when = change(served, 480)
    Model.objects.filter(slug="small").update(visibility=Model.Visibility.PRIVATE)
    assert watches.tell_due(now=when + LATER) == 0
    Model.objects.filter(slug="small").update(visibility=Model.Visibility.PUBLIC)
    Member.objects.filter(user__email="watcher@example.com").delete()
    assert watches.tell_due(now=change(served, 500, after=LATER * 2) + LATER) == 0
    assert mail.outbox == []


def test_the_switch_shows_how_it_stands_and_ends_the_mails(browser: Client, served: Endpoint) -> None:
    assert "Stop mails about prices" in browser.get("/acme/small").content.decode()
    assert browser.post("/models/acme/small/watch").status_code == 302
    assert not PriceWatch.objects.exists()
    assert "Mail me when prices change" in browser.get("/acme/small").content.decode()
    assert watches.tell_due(now=change(served, 480) + LATER) == 0
    assert "prices change" not in Client().get("/acme/small").content.decode()
