"""The database itself refuses to change the books, and on PostgreSQL to unbalance them."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from billing.models import Charge, Entry, Transaction
from billing.rating import rate
from billing.services import holds, ledger
from tests.billing.services.test_holds import place
from tests.factories import marketplace as make
from tests.factories.billing import fund


@pytest.fixture
def _booked(db: None) -> None:
    """One charge in the books."""
    account = make.account()
    fund(account, "1.00")
    holds.settle(hold_id=place(account, 100).pk, rated=rate({"request": 1_000_000}, {"request": 10}))


@pytest.mark.usefixtures("_booked")
@pytest.mark.parametrize("model", [Transaction, Entry, Charge])
@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_books_are_append_only(model: type, change: str) -> None:
    table = model._meta.db_table  # type: ignore[attr-defined]
    statement = {"update": f"UPDATE {table} SET id = id", "delete": f"DELETE FROM {table}"}[change]  # noqa: S608
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_postgresql_refuses_a_transaction_that_does_not_add_up() -> None:
    account = make.account()
    house = ledger.account_id(kind="platform_revenue")
    mine = ledger.account_id(kind="wallet", owner_id=account.pk)

    def unbalanced() -> None:
        with transaction.atomic():
            row = Transaction.objects.create(kind="test", reference="x")
            Entry.objects.create(transaction=row, ledger_account_id=house, amount_nano=5)
            Entry.objects.create(transaction=row, ledger_account_id=mine, amount_nano=-4)

    with pytest.raises(DatabaseError, match="add up to zero"):
        unbalanced()
    assert not Transaction.objects.exists()
