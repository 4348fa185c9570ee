"""Hosts of chats that move, are lost and come back: their endpoints follow."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from execution.models import Door
from execution.schema import of_chat
from execution.services import chats, copies, doors, upkeep
from marketplace.models import Account, Endpoint, Version
from tests.factories.execution import hosted, payer

pytestmark = pytest.mark.django_db

OFFER = {"context_length": 4096, "max_output": 1024, "prompt_nano": 1, "completion_nano": 2}
NOW = timezone.now()
LATER = NOW + doors.LOST_AFTER + dt.timedelta(seconds=1)


@pytest.fixture
def owner(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A publisher; every build lies on every host."""
    settings.CHAT_PORT = 20_009
    monkeypatch.setattr(copies, "is_here", lambda version: True)
    return payer()


def at(settings: Any, host: str) -> None:
    """From here on the test is on this host."""
    settings.CHAT_HOST = host


def publish(owner: Account, number: int = 1) -> Version:
    made = hosted(owner=owner, slug="talk", version_id=f"{number:064x}", schema=of_chat(OFFER))
    chats.offer(version=made)
    return made


def active() -> dict[str, str]:
    """By host: the last digit of the version that it offers."""
    rows = Endpoint.objects.filter(is_active=True).select_related("provider")
    return {row.provider.base_url.split("/")[2].split(":")[0]: row.upstream[-1] for row in rows}


def test_a_host_that_reports_another_address_takes_its_chats_along(owner: Account, settings: Any) -> None:
    at(settings, "10.0.0.7")
    doors.report(node="at-a", now=NOW)
    publish(owner)
    at(settings, "10.0.0.8")
    doors.report(node="at-a", now=NOW)
    assert active() == {"10.0.0.8": "1"}
    doors.report(node="at-a", now=NOW)
    assert active() == {"10.0.0.8": "1"}
    at(settings, "10.0.0.7")  # and back
    doors.report(node="at-a", now=NOW)
    assert active() == {"10.0.0.7": "1"}


def test_an_address_where_another_host_answers_stays(owner: Account, settings: Any) -> None:
    at(settings, "10.0.0.7")
    for node in ("at-a", "at-b"):  # two workers of one host, of which either may have the door
        doors.report(node=node, now=NOW)
    publish(owner)
    at(settings, "10.0.0.8")
    doors.report(node="at-a", now=NOW)
    assert active() == {"10.0.0.7": "1", "10.0.0.8": "1"}


def test_a_host_that_is_not_seen_is_withdrawn_and_comes_back_with_what_is_current(
    owner: Account, settings: Any
) -> None:
    at(settings, "10.0.0.7")
    doors.report(node="at-a", now=NOW)
    publish(owner)
    assert doors.withdraw_lost(now=NOW + doors.LOST_AFTER) == 0
    upkeep.poll(now=LATER)
    assert active() == {}
    assert Endpoint.objects.get().hidden == Endpoint.Hidden.NOT_READY
    doors.report(node="at-a", now=LATER)
    assert active() == {"10.0.0.7": "1"}
    doors.withdraw_lost(now=LATER + doors.LOST_AFTER * 2)
    at(settings, "10.0.0.8")
    publish(owner, 2)  # while it was away
    at(settings, "10.0.0.7")
    doors.report(node="at-a", now=LATER)
    assert active() == {"10.0.0.8": "2"}


def test_others_take_over_the_chats_of_a_lost_host(owner: Account, settings: Any) -> None:
    at(settings, "10.0.0.7")
    doors.report(node="at-a", now=NOW)
    made = publish(owner)
    doors.withdraw_lost(now=LATER)
    at(settings, "10.0.0.8")
    doors.report(node="at-b", now=LATER)
    assert chats.offered_elsewhere() == [made]
    assert chats.offer_here(version=made)
    assert active() == {"10.0.0.8": "1"}
    doors.withdraw_lost(now=LATER + doors.FORGOTTEN_AFTER)
    assert [door.pk for door in Door.objects.filter(is_lost=False)] == []
    doors.withdraw_lost(now=LATER + 2 * doors.FORGOTTEN_AFTER)
    assert not Door.objects.exists()
