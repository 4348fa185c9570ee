"""Balances carried forward: exact at any moment, whoever books meanwhile."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from billing import invariants, triggers
from billing.models import Balance, Cursor, Entry, LedgerAccount
from billing.services import balances, holds, ledger, metered
from marketplace.lib.errors import PaymentRequired
from tests.billing.services.test_holds import cost, in_threads, place
from tests.factories import marketplace as make
from tests.factories.billing import fund

REVENUE = LedgerAccount.Kind.PLATFORM_REVENUE


def test_reading_adds_what_is_beyond_the_mark(db: None) -> None:
    account = make.account()
    fund(account, "1.00")
    assert balances.of(kind=REVENUE) == 0
    holds.settle(hold_id=place(account, 100).pk, rated=cost(10))
    assert balances.of(kind=REVENUE) == 10
    assert balances.advance() == 2  # revenue and promotional expense
    assert Balance.objects.get(ledger_account__kind=REVENUE).amount_nano == 10
    holds.settle(hold_id=place(account, 100).pk, rated=cost(7))
    assert balances.of(kind=REVENUE) == 17
    assert balances.advance() == 1
    assert balances.advance() == 0
    assert (balances.of(kind=REVENUE), balances.of(kind=LedgerAccount.Kind.PROMOTIONAL_EXPENSE)) == (17, -(10**9))
    assert invariants.run() == []


@pytest.mark.django_db(transaction=True)
def test_booking_and_advancing_at_once_lose_nothing() -> None:
    account = make.account()
    fund(account, "1.00")

    def work(n: int) -> object:
        if n % 5 == 0:
            return balances.advance()
        return holds.settle(hold_id=place(account, 100).pk, rated=cost(3))

    in_threads(100, work)
    assert balances.of(kind=REVENUE) == 240
    balances.advance()
    assert Balance.objects.get(ledger_account__kind=REVENUE).amount_nano == 240
    assert invariants.run() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_mark_waits_for_whoever_took_a_lower_number() -> None:
    account = make.account()
    fund(account, "1.00")
    has_booked, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            holds.settle(hold_id=place(account, 100).pk, rated=cost(5))
            has_booked.set()
            may_commit.wait(20)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert has_booked.wait(20)
    assert balances.advance() == 0  # it gave up waiting rather than pass the one that is not to be seen yet
    may_commit.set()
    thread.join()
    balances.advance()
    assert Balance.objects.get(ledger_account__kind=REVENUE).amount_nano == 5


def test_a_wrong_balance_is_found(db: None) -> None:
    fund(make.account(), "1.00")
    balances.advance()
    Balance.objects.update(amount_nano=1)
    assert {one.check for one in invariants.run()} == {"balances_equal_their_entries"}
    Balance.objects.all().delete()
    assert {one.check for one in invariants.run()} == {"balances_equal_their_entries"}
    Cursor.objects.all().delete()
    assert invariants.run() == []
    balances.advance()
    assert Balance.objects.get().amount_nano == -(10**9)


def test_frozen_wallets_refuse_and_thaw_only_when_covered(db: None) -> None:
    account = make.account()
    fund(account, "1.00")
    hold = place(account, 100)
    ledger.freeze(account_id=account.pk, because="A payment was disputed.")
    with pytest.raises(PaymentRequired, match=r"A payment was disputed\."):
        place(account, 1)
    assert holds.settle(hold_id=hold.pk, rated=cost(40)) is not None
    assert ledger.thaw(account_id=account.pk) is True
    place(account, 1)


def test_a_credit_limit_is_drawn_on_after_the_balance(db: None) -> None:
    account = make.account()
    fund(account, "0.0000001")
    metered.decide(account=account, credit_limit_nano=50, reason="A known customer.", decided_by=None)
    hold = place(account, 150)
    with pytest.raises(holds.InsufficientCredit):
        place(account, 1)
    holds.settle(hold_id=hold.pk, rated=cost(130))
    assert ledger.wallet_of(account.pk).balance_nano == -30
    assert holds.affordable(account_id=account.pk, key_id=None) == 20
    assert invariants.run() == []


def test_the_triggers_outlive_the_migrations(db: None) -> None:
    assert set(triggers.APPEND_ONLY) == {"billing_transaction", "billing_entry", "billing_charge"}
    names = (
        "SELECT tgname FROM pg_trigger"
        if connection.vendor == "postgresql"
        else ("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    )
    with connection.cursor() as cursor:
        cursor.execute(names)
        found = " ".join(row[0] for row in cursor.fetchall())
    for table in triggers.APPEND_ONLY:
        assert table in found
    assert Entry.objects.count() == 0
