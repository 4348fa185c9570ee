"""Each named check finds the fault that it is there for."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from billing import invariants, triggers
from billing.models import Budget, Charge, Hold, Wallet
from billing.rating import rate
from billing.services import holds
from marketplace.services import keys
from tests.billing.services.test_holds import place
from tests.factories import marketplace as make
from tests.factories.billing import fund


@pytest.fixture(autouse=True)
def _books(db: None) -> None:
    """Some honest business: a charge, an open hold, a key with a limit."""
    account = make.account()
    fund(account, "1.00")
    key, _ = keys.issue(account=account, name="k", limit_nano=1000)
    holds.settle(hold_id=place(account, 100, key).pk, rated=rate({"request": 1_000_000}, {"request": 10}))
    place(account, 50, key)


def found() -> set[str]:
    """The names of the checks that complain."""
    return {violation.check for violation in invariants.run()}


def test_honest_books_have_no_violation() -> None:
    assert found() == set()
    call_command("check_invariants")


def test_a_changed_balance_is_found() -> None:
    Wallet.objects.update(balance_nano=123)
    assert "wallets_equal_their_entries" in found()
    with pytest.raises(CommandError, match="violations"):
        call_command("check_invariants")


def test_a_changed_hold_sum_is_found() -> None:
    Wallet.objects.update(held_nano=7)
    assert "held_equals_open_holds" in found()


def test_a_changed_budget_is_found() -> None:
    Budget.objects.update(held_nano=7)
    assert "budgets_equal_their_holds" in found()


def test_a_forgotten_hold_is_found() -> None:
    Hold.objects.filter(state="open").update(expires_at=timezone.now() - dt.timedelta(hours=1))
    assert "no_hold_is_forgotten" in found()


def test_a_hold_settled_without_a_charge_is_found() -> None:
    Hold.objects.filter(state="open").update(state="settled")
    assert "settled_holds_have_a_charge" in found()


def test_a_charge_that_is_not_its_transaction_is_found() -> None:
    triggers.remove(connection)
    Charge.objects.update(amount_nano=11)
    assert "charges_equal_their_transactions" in found()
    Charge.objects.update(amount_nano=10)
    triggers.install(connection)


def test_an_unbalanced_transaction_is_found() -> None:
    triggers.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_entry SET amount_nano = amount_nano + 1 WHERE amount_nano = 10")
    assert "transactions_add_up_to_zero" in found()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_entry SET amount_nano = 10 WHERE amount_nano = 11")
    triggers.install(connection)
