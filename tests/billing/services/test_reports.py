"""Usage by hour and day: exact, told apart, narrowed, and the same sum wherever it is read."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.utils import timezone

from billing import invariants
from billing.models import Charge, UsageHour
from billing.rating import rate
from billing.services import corrections, holds, months, reports, rollups, statements, usage
from billing.services.reports import Wanted
from billing.services.statements import Narrowed
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from routing.services import activity
from tests.factories import marketplace as make
from tests.factories.billing import fund

NOW = dt.datetime(2026, 11, 20, 15, 20, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Account:
    """Alice's organisation with Bob in it, and ten dollars since the year's beginning."""
    account = make.team(members=("bob@example.com",))
    with mock.patch.object(timezone, "now", return_value=NOW - 200 * DAY):
        fund(account, "10.00")
    return account


def spend(
    account: Account,
    nano: int,
    *,
    ago: dt.timedelta,
    key: ApiKey | None = None,
    user_id: int | None = None,
    model: str = "acme/one",
    hardware_ms: int = 0,
) -> Charge:
    """A charge of so much, so long before NOW: a chat's, or with `hardware_ms` a hosted run's."""
    with mock.patch.object(timezone, "now", return_value=NOW - ago):
        hold = holds.place(
            account_id=account.pk,
            key_id=key.pk if key else None,
            user_id=user_id,
            amount_nano=nano,
            kind="prediction" if hardware_ms else "chat",
            reference=str(Charge.objects.count()),
            expires_in=HOUR,
        )
        unit, count = ("hardware_ms", hardware_ms) if hardware_ms else ("prompt", 10)
        labels = {"model": model} if hardware_ms else {"model": model, "provider": "sim", "endpoint": 4}
        made = holds.settle(hold_id=hold.pk, rated=rate({unit: nano * 10**6 // count}, {unit: count}), labels=labels)
    assert made is not None
    assert made.amount_nano == nano
    return made


def test_parts_columns_and_total_add_up_whether_hours_are_closed_or_not(team: Account) -> None:
    spend(team, 300, ago=DAY)
    spend(team, 200, ago=DAY + HOUR, model="acme/two")
    spend(team, 50, ago=HOUR)
    spend(team, 7, ago=60 * DAY)
    wanted = Wanted(reports.span("7d", now=NOW))
    before = reports.report(account_id=team.pk, wanted=wanted)
    assert [(part.label, part.total.amount_nano) for part in before.parts] == [("acme/one", 350), ("acme/two", 200)]
    assert [one.amount_nano for _, one in before.rows] == [0, 0, 0, 0, 0, 500, 50]
    assert (before.total.amount_nano, before.total.requests, before.total.prompt_tokens) == (550, 3, 30)
    assert rollups.close(NOW)
    assert reports.report(account_id=team.pk, wanted=wanted) == before


def test_a_day_by_hour_ends_with_the_present_one(team: Account) -> None:
    spend(team, 5, ago=dt.timedelta(0))
    spend(team, 3, ago=23 * HOUR)
    spend(team, 100, ago=24 * HOUR)
    found = reports.report(account_id=team.pk, wanted=Wanted(reports.span("24h", now=NOW)))
    assert [one.amount_nano for _, one in found.rows] == [3, *[0] * 22, 5]
    assert (found.rows[0][0], found.rows[-1][0]) == ("2026-11-19 16:00", "2026-11-20 15:00")


def test_members_are_told_apart_by_their_keys_and_by_what_they_run_in_the_portal(team: Account) -> None:
    alice, bob = make.user("alice@example.com"), make.user("bob@example.com")
    key, _ = keys.issue(account=team, name="bob's", created_by=bob)
    spend(team, 10, ago=HOUR, key=key)
    spend(team, 20, ago=HOUR, user_id=bob.pk, hardware_ms=1000)
    spend(team, 5, ago=HOUR, user_id=alice.pk, hardware_ms=500)
    spend(team, 1, ago=HOUR, hardware_ms=100)  # a deployment's minute is nobody's
    for _ in range(2):
        wanted = Wanted(reports.span("7d", now=NOW), part="member")
        found = reports.report(account_id=team.pk, wanted=wanted)
        assert [(part.label, part.total.amount_nano) for part in found.parts] == [
            ("bob@example.com", 30),
            ("alice@example.com", 5),
            ("Nobody in particular", 1),
        ]
        own = reports.report(account_id=team.pk, wanted=wanted, only_user_id=bob.pk)
        assert (own.total.amount_nano, own.user_ids, own.models) == (30, {bob.pk}, ["acme/one"])
        listed = statements.charges(account_id=team.pk, narrowed=Narrowed(user_id=bob.pk))
        assert sum(charge.amount_nano for charge in listed) == 30
        rollups.close(NOW + HOUR)
    assert UsageHour.objects.exclude(user=None).count() == 3


@pytest.mark.parametrize(
    ("narrowed", "amount"),
    [
        ({"kind": "gpu"}, 20),
        ({"kind": "tokens"}, 110),
        ({"model": "acme/two"}, 100),
        ({"key": "none"}, 120),
        ({"key": "playground"}, 0),
    ],
)
def test_sums_and_list_are_narrowed_alike(team: Account, narrowed: dict[str, Any], amount: int) -> None:
    key, _ = keys.issue(account=team, name="one")
    spend(team, 10, ago=HOUR, key=key)
    spend(team, 20, ago=HOUR, hardware_ms=1000)
    spend(team, 100, ago=HOUR, model="acme/two")
    span = reports.span("7d", now=NOW)
    found = reports.report(account_id=team.pk, wanted=Wanted(span, **narrowed))
    assert found.total.amount_nano == amount
    listed = statements.charges(account_id=team.pk, narrowed=Narrowed(span.since, span.until, **narrowed))
    assert sum(charge.amount_nano for charge in listed) == amount


def test_a_month_is_the_statement_of_that_month_and_the_days_are_those_of_activity(team: Account) -> None:
    key, _ = keys.issue(account=team, name="one")
    late = dt.timedelta(days=19, hours=15, minutes=20)  # to the first second of the month
    spend(team, 1000, ago=late, key=key)
    spend(team, 400, ago=late + dt.timedelta(seconds=1), key=key)  # the last of the one before
    charge = spend(team, 70, ago=2 * DAY, key=key)
    spend(team, 9, ago=2 * DAY, hardware_ms=30)
    with mock.patch.object(timezone, "now", return_value=NOW - DAY):
        corrections.correct(charge_id=charge.pk, rated=rate({"prompt": 10**6}, {"prompt": 30}), reason="late")
    rollups.close(NOW - 5 * DAY)
    with mock.patch.object(timezone, "now", return_value=NOW):
        for name, amount in (("2026-11", 1000 + 30 + 9), ("2026-10", 400)):
            found = reports.report(account_id=team.pk, wanted=Wanted(reports.span(name)))
            assert found.total.amount_nano == amount
            assert months.statement(account=team, year=2026, month=int(name[-2:])).charged_nano == amount
        days = {row.date: 0 for row in activity.rows(account_id=team.pk, narrowed=activity.Narrowed())}
        for row in activity.rows(account_id=team.pk, narrowed=activity.Narrowed()):
            days[row.date] += row.usage_nano
        report = reports.report(account_id=team.pk, wanted=Wanted(reports.span("2026-11")))
        told = {
            dt.date.fromisoformat(day): one.amount_nano for day, one in report.rows if one.requests or one.amount_nano
        }
        assert told == {day: nano for day, nano in days.items() if day.month == 11}
        spent = usage.of_key(key)
        assert (spent.total, spent.monthly, spent.daily) == (1430, 1030, 0)
        assert usage.spent(account_id=team.pk) == 1439


def test_the_file_is_every_used_day_of_every_part(team: Account) -> None:
    key, _ = keys.issue(account=team, name="=HYPERLINK(1)")
    spend(team, 300, ago=DAY, key=key)
    spend(team, 20, ago=HOUR, hardware_ms=1500)
    found = reports.report(account_id=team.pk, wanted=Wanted(reports.span("7d", now=NOW), part="key"))
    head, *lines = reports.csv_rows(found)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [(row["day"], row["amount_usd"], row["hardware_ms"]) for row in rows] == [
        ("2026-11-19", "0.0000003", "0"),
        ("2026-11-20", "0.00000002", "1500"),
    ]
    assert rows[0]["key"].startswith("'=HYPERLINK(1) (sk-")


def test_the_dearest_are_shown_and_the_rest_is_one(team: Account) -> None:
    for number in range(9):
        spend(team, 100 - number, ago=HOUR, model=f"acme/m{number}")
    found = reports.report(account_id=team.pk, wanted=Wanted(reports.span("7d", now=NOW)))
    shown = reports.shown(found, most=7)
    assert [label for label, _ in shown] == [*(f"acme/m{number}" for number in range(7)), "2 others"]
    assert sum(sum(amounts) for _, amounts in shown) == found.total.amount_nano
    assert sum(shown[-1][1]) == 93 + 92


def test_hours_are_made_again_from_the_charges(team: Account) -> None:
    user = make.user("bob@example.com")
    spend(team, 10, ago=40 * DAY)
    spend(team, 20, ago=DAY, user_id=user.pk)
    rollups.close(NOW)
    rollups.close(NOW)
    rows = UsageHour.objects.order_by("hour").values("hour", "amount_nano", "user_id", "prompt_tokens")
    before = list(rows)
    UsageHour.objects.update(amount_nano=1)
    assert {one.check for one in invariants.run()} == {"hours_equal_their_charges"}
    with mock.patch.object(timezone, "now", return_value=NOW):
        call_command("rebuild_usage", stdout=io.StringIO())
    assert list(rows.all()) == before
    assert invariants.run() == []


def test_spans_are_whole_and_unknown_names_are_the_standard_one() -> None:
    assert len(reports.span("24h", now=NOW).columns) == 24
    assert len(reports.span("2026-02", now=NOW).columns) == 28
    assert reports.span("2024-02", now=NOW).until == dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    for name in ("", "31d", "2026-13", "0000-01", "9999-12x"):
        assert reports.span(name, now=NOW).name == "30d"
    assert reports.span("9999-12", now=NOW).name == "30d"  # has no end
