"""Transactions in the books: whole, once, and in few statements."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.models import Entry, LedgerAccount
from billing.services import ledger
from tests.factories import marketplace as make

WALLET, FEES, TAX = LedgerAccount.Kind.WALLET, LedgerAccount.Kind.FEES, LedgerAccount.Kind.TAX_PAYABLE


def entries() -> dict[tuple[str, int | None], int]:
    rows = Entry.objects.values_list("ledger_account__kind", "ledger_account__account_id", "amount_nano")
    return {(kind, owner): amount for kind, owner, amount in rows}


@pytest.mark.django_db
def test_accounts_are_made_when_first_needed_and_looked_up_at_once_afterwards(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    mine, yours = make.account(email="a@example.com", slug="a").pk, make.account(email="b@example.com", slug="b").pk
    legs: list[ledger.Leg] = [(WALLET, mine, -30), (WALLET, yours, 10), (FEES, None, 20), (TAX, None, 0)]
    ledger.post(kind="test", reference="1", legs=legs)
    assert entries() == {(WALLET, mine): -30, (WALLET, yours): 10, (FEES, None): 20}
    with django_assert_num_queries(3):  # the accounts, the transaction, its entries
        ledger.post(kind="test", reference="2", legs=legs)


@pytest.mark.django_db
def test_what_does_not_add_up_is_refused() -> None:
    with pytest.raises(ledger.Unbalanced):
        ledger.post(kind="test", reference="1", legs=[(FEES, None, 1), (TAX, None, -2)])
    assert entries() == {}
