"""Usage by the hour: closed once, exact with the open rest, whatever comes between."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from unittest import mock

import pytest
from django.utils import timezone

from billing import invariants
from billing.models import Charge, UsageHour
from billing.rating import rate
from billing.services import corrections, holds, rollups
from marketplace.models import Account
from tests.billing.services.test_holds import cost, in_threads, place
from tests.factories import marketplace as make
from tests.factories.billing import fund

START = dt.datetime(2026, 11, 1, 10, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def charge_at(account: Account, moment: dt.datetime, nano: int, model: str = "acme/one") -> Charge:
    """A charge stamped at a moment."""
    rated = rate({"prompt": 1_000_000}, {"prompt": nano})
    with mock.patch.object(timezone, "now", return_value=moment):
        charge = holds.settle(hold_id=place(account, nano).pk, rated=rated, labels={"model": model})
    assert charge is not None
    return charge


def summed(account: Account) -> dict[tuple[dt.datetime, str], tuple[int, int, int]]:
    """Requests, amount and prompt tokens by hour and model."""
    found: dict[tuple[dt.datetime, str], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for group, one in rollups.usage(account_id=account.pk, since=START - 48 * HOUR, until=START + 48 * HOUR):
        before = found[group.hour, group.model]
        found[group.hour, group.model] = (
            before[0] + one.requests,
            before[1] + one.amount_nano,
            before[2] + one.quantities.get("prompt", 0),
        )
    return dict(found)


@pytest.fixture
def alice(db: None) -> Account:
    """An account with one dollar."""
    account = make.account()
    fund(account, "1.00")
    return account


def test_closing_changes_nothing_that_is_read(alice: Account) -> None:
    for minutes, model in ((0, "acme/one"), (10, "acme/two"), (20, "acme/one"), (40, "acme/one"), (100, "acme/one")):
        charge_at(alice, START + dt.timedelta(minutes=minutes), 100 + minutes, model)
    open_sums = summed(alice)
    ten, eleven, twelve = START.replace(minute=0), START.replace(minute=0) + HOUR, START.replace(minute=0) + 2 * HOUR
    assert open_sums == {
        (ten, "acme/one"): (2, 220, 220),
        (ten, "acme/two"): (1, 110, 110),
        (eleven, "acme/one"): (1, 140, 140),
        (twelve, "acme/one"): (1, 200, 200),
    }
    assert rollups.close(START + HOUR) == 2  # ten to eleven
    assert (UsageHour.objects.count(), rollups.closed_until()) == (2, eleven)
    assert summed(alice) == open_sums
    assert rollups.close(START + HOUR) == 0
    rollups.close(START + 5 * HOUR)
    assert summed(alice) == open_sums
    assert invariants.run() == []


def test_a_correction_counts_in_the_hour_in_which_it_was_made(alice: Account) -> None:
    charge = charge_at(alice, START, 100)
    rollups.close(START + 2 * HOUR)
    with mock.patch.object(timezone, "now", return_value=START + 3 * HOUR):
        corrections.correct(charge_id=charge.pk, rated=cost(40), reason="late")
    rollups.close(START + 9 * HOUR)
    assert summed(alice)[START.replace(minute=0) + 3 * HOUR, "acme/one"][:2] == (0, -60)
    assert invariants.run() == []


def test_a_wrong_hour_is_found(alice: Account) -> None:
    charge_at(alice, START, 100)
    rollups.close(START + 2 * HOUR)
    UsageHour.objects.update(amount_nano=1)
    assert {one.check for one in invariants.run()} == {"hours_equal_their_charges"}


@pytest.mark.django_db(transaction=True)
def test_hours_closed_by_many_at_once_are_closed_once() -> None:
    account = make.account()
    fund(account, "1.00")
    for n in range(5):
        charge_at(account, START + n * HOUR, 100)
    written = in_threads(8, lambda n: rollups.close(START + 9 * HOUR))
    assert sorted(written)[-1] == 5  # type: ignore[type-var]
    assert UsageHour.objects.count() == 5
    assert invariants.run() == []
