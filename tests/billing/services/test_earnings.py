"""What is earned, in delay, kept and ready; every number is the ledger's, carried forward or not."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from billing import invariants
from billing.models import Cursor, DaybookLine, Entry, LedgerAccount
from billing.rating import Part, rate
from billing.services import balances, corrections, daybook, earnings, margin
from marketplace.lib.errors import NotFound
from marketplace.lib.money import NANO, parse_usd
from marketplace.models import Account
from tests.factories import marketplace as make
from tests.factories.billing import fund, sell

TODAY = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
Clock = Callable[[int], None]


@pytest.fixture
def clock(db: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the day of November."""
    now = [TODAY]
    monkeypatch.setattr("django.utils.timezone.now", lambda: now[0])

    def put(day: int) -> None:
        now[0] = TODAY.replace(day=day)

    return put


@pytest.fixture
def operator(db: None) -> Account:
    """Who earns."""
    return make.account(email="operator@example.com", slug="operator")


@pytest.fixture
def caller(db: None, clock: Clock) -> Account:
    """Who pays."""
    account = make.account(email="caller@example.com", slug="caller")
    fund(account, "1000.00")
    return account


@pytest.fixture(params=["carried", "open"])
def carry(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Carries the days forward, or leaves all entries beyond the mark: readers must not see a difference."""

    def forward() -> None:
        if request.param == "carried":
            balances.advance()
            daybook.advance()
            assert DaybookLine.objects.exists()

    return forward


def test_earnings_are_ready_when_whole_days_have_passed_and_a_part_is_kept(
    clock: Clock, caller: Account, operator: Account, settings: Any, carry: Callable[[], None]
) -> None:
    settings.PAYOUT_DELAY_DAYS, settings.PAYOUT_RESERVE_DAYS, settings.PAYOUT_RESERVE_PERCENT = 7, 14, 10
    for day in (5, 10, 13, 19):
        clock(day)
        sell(caller, "100.00", to=operator)
    clock(20)
    carry()
    found = earnings.standing(account_id=operator.pk)
    # The 13th's day ended on the 14th, less than 7 days ago; the 5th is older than what disputes keep.
    assert found.owed_nano == 380 * NANO
    assert found.in_delay_nano == 190 * NANO
    assert found.reserved_nano == 95 * NANO // 10
    assert found.ready_nano == 380 * NANO - 190 * NANO - 95 * NANO // 10
    assert found.paid_nano == 0


def test_without_a_delay_and_a_reserve_all_is_ready_at_once(caller: Account, operator: Account, settings: Any) -> None:
    settings.PAYOUT_DELAY_DAYS = settings.PAYOUT_RESERVE_DAYS = 0
    sell(caller, "1.00", to=operator)
    assert earnings.standing(account_id=operator.pk).ready_nano == 95 * NANO // 100


def test_a_month_adds_up_to_what_is_owed(
    clock: Clock, caller: Account, operator: Account, carry: Callable[[], None]
) -> None:
    made = sell(caller, "2.00", to=operator, model="acme/one", provider="sim", endpoint=7)
    sell(caller, "0.00000002", to=operator, model="acme/one", provider="sim", endpoint=7)
    sell(caller, "3.00", to=operator, side="publisher_payable", bps=1_000, model="acme/faces")
    corrections.correct(
        charge_id=made.pk, rated=rate({"request": NANO}, {"request": 10**6}), reason="miscounted",
        parts=[Part("provider_payable", operator.pk, bps=9_500)],
    )  # fmt: skip
    carry()
    sell(caller, "1.00", to=operator, model="acme/one", provider="sim", endpoint=8)
    month = earnings.settlement(account_id=operator.pk, year=2026, month=11)
    rows = [(one.side, one.model, one.endpoint, one.total.count, one.total.gross_nano) for one in month.lines]
    assert rows == [
        ("provider_payable", "acme/one", 7, 2, 2 * NANO + 20),
        ("provider_payable", "acme/one", 8, 1, NANO),
        ("publisher_payable", "acme/faces", 0, 1, 3 * NANO),
    ]
    assert [one.total.amount_nano for one in month.corrections] == [-95 * NANO // 100]
    assert month.earned_nano == month.closing_nano == (190 - 95 + 30 + 95) * NANO // 100 + 19
    assert month.closing_nano == earnings.standing(account_id=operator.pk).owed_nano
    text = io.StringIO()
    csv.writer(text).writerows(earnings.csv_rows(account_id=operator.pk, month=month))
    *rest, closing = csv.DictReader(io.StringIO(text.getvalue()))
    assert sum(parse_usd(row["net_usd"]) for row in rest) == month.closing_nano
    assert parse_usd(closing["net_usd"]) == month.closing_nano
    with pytest.raises(NotFound):
        earnings.settlement(account_id=caller.pk, year=2026, month=11)
    with pytest.raises(NotFound):
        earnings.settlement(account_id=operator.pk, year=2026, month=13)


def test_days_without_earnings_are_in_the_chart(clock: Clock, caller: Account, operator: Account) -> None:
    assert earnings.per_day(account_id=operator.pk, days=3) == []
    clock(18)
    sell(caller, "1.00", to=operator)
    clock(20)
    days = earnings.per_day(account_id=operator.pk, days=3)
    assert days == [(dt.date(2026, 11, 18), 95 * NANO // 100), (dt.date(2026, 11, 19), 0), (dt.date(2026, 11, 20), 0)]


def test_the_margin_is_the_ledgers(clock: Clock, caller: Account, operator: Account, carry: Callable[[], None]) -> None:
    sell(caller, "2.00", to=operator, model="acme/one", provider="sim")
    sell(caller, "3.00", to=operator, side="publisher_payable", bps=1_000, model="acme/faces")
    carry()
    month = margin.month(year=2026, month=11)
    assert (month.use.paid_nano, month.use.requests) == (5 * NANO, 2)
    assert month.use.providers_nano == 190 * NANO // 100
    assert month.use.publishers_nano == 30 * NANO // 100
    assert month.promotional_nano == -1000 * NANO
    assert [(one.title, one.count, one.amount_nano) for one in month.others] == [
        ("Promotional credit given", 1, -1000 * NANO)
    ]
    assert [(one.model, one.provider) for one in month.lines] == [("acme/faces", ""), ("acme/one", "sim")]
    assert month.margin_nano == sum(balances.of(kind=side) for side in margin.RESULT)
    assert margin.listed() == [(dt.date(2026, 11, 1), month.margin_nano)]
    assert margin.month(year=2026, month=10).margin_nano == 0


def test_carrying_twice_and_in_parts_changes_nothing(
    caller: Account, operator: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daybook, "MOST_ENTRIES", 1)
    for _ in range(5):
        sell(caller, "1.00", to=operator, model="acme/one")
    balances.advance()
    first, last = Entry.objects.earliest("pk").pk, Entry.objects.latest("pk").pk
    # Numbers go on from earlier tests: one by one from nought would take hours.
    Cursor.objects.update_or_create(name=daybook.CURSOR, defaults={"position": first - 1})
    while daybook.advance() or daybook._mark() < last:
        assert invariants.run() == []
    assert daybook.advance() == 0
    (line,) = DaybookLine.objects.filter(ledger_account__kind=LedgerAccount.Kind.PROVIDER_PAYABLE)
    assert (line.count, line.gross_nano, line.amount_nano) == (5, 5 * NANO, 475 * NANO // 100)
    assert line.day == timezone.now().date()
    DaybookLine.objects.filter(pk=line.pk).update(amount_nano=1)
    assert [one.check for one in invariants.run()] == ["daybook_equals_its_entries"]
