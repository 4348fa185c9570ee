"""Carved holds: parts of one reservation, never more than it, and their rests go back."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from billing import invariants
from billing.models import Hold, Wallet
from billing.services import holds
from marketplace.lib import ids
from marketplace.lib.money import NANO
from marketplace.models import Account
from marketplace.services import keys
from tests.billing.services.test_holds import HOUR, cost, in_threads, place
from tests.factories import marketplace as make
from tests.factories.billing import fund


@pytest.fixture
def alice(db: None) -> Account:
    """An account with one dollar."""
    account = make.account()
    fund(account, "1.00")
    return account


def carve(parent: Hold, nano: int) -> Hold:
    """A part for a step of its own."""
    return holds.carve(
        parent_id=parent.pk, amount_nano=nano, kind="step", reference=str(ids.uuid7()), expires_in=dt.timedelta(hours=1)
    )


def state(account: Account, parent: Hold) -> tuple[int, int, int, int]:
    """Balance, held, and the parent's amount and what was carved out of it."""
    wallet = Wallet.objects.get(account=account)
    parent.refresh_from_db()
    assert invariants.run() == []
    return wallet.balance_nano, wallet.held_nano, parent.amount_nano, parent.carved_nano


def test_a_part_is_moved_and_its_rest_comes_back(alice: Account) -> None:
    parent = place(alice, 1000)
    child = carve(parent, 400)
    assert state(alice, parent) == (NANO, 1000, 600, 400)
    assert holds.settle(hold_id=child.pk, rated=cost(150)) is not None
    assert state(alice, parent) == (NANO - 150, 850, 850, 150)
    assert holds.release(hold_id=carve(parent, 850).pk) is True
    assert state(alice, parent) == (NANO - 150, 850, 850, 150)
    holds.release(hold_id=parent.pk)
    assert state(alice, parent)[:2] == (NANO - 150, 0)


def test_children_never_exceed_the_parent(alice: Account) -> None:
    parent = place(alice, 1000)
    child = carve(parent, 900)
    with pytest.raises(holds.ParentExhausted) as refused:
        carve(parent, 101)
    assert refused.value.metadata == {
        "limit_source": "parent",
        "needed_usd": "0.000000101",
        "available_usd": "0.0000001",
    }
    with pytest.raises(holds.ParentExhausted):
        holds.extend(hold_id=child.pk, amount_nano=101, expires_in=HOUR)
    assert holds.extend(hold_id=child.pk, amount_nano=100, expires_in=HOUR) is True
    assert state(alice, parent) == (NANO, 1000, 0, 1000)


def test_a_childs_excess_comes_out_of_its_parent_and_beyond_it_is_bad_debt(alice: Account) -> None:
    parent = place(alice, 1000)
    charge = holds.settle(hold_id=carve(parent, 100).pk, rated=cost(300))
    assert charge is not None
    assert (charge.amount_nano, charge.bad_debt_nano) == (300, 0)
    assert state(alice, parent) == (NANO - 300, 700, 700, 300)
    charge = holds.settle(hold_id=carve(parent, 100).pk, rated=cost(900))
    assert charge is not None
    assert (charge.amount_nano, charge.bad_debt_nano) == (700, 200)


def test_the_rest_of_a_child_that_outlives_its_parent_is_free(alice: Account) -> None:
    parent = place(alice, 1000)
    child = carve(parent, 400)
    holds.release(hold_id=parent.pk)
    assert state(alice, parent) == (NANO, 400, 600, 400)
    with pytest.raises(holds.ParentExhausted):
        carve(parent, 1)
    holds.settle(hold_id=child.pk, rated=cost(100))
    assert state(alice, parent) == (NANO - 100, 0, 600, 400)


def test_a_part_can_be_carved_again(alice: Account) -> None:
    parent = place(alice, 1000)
    child = carve(parent, 400)
    grandchild = carve(child, 150)
    assert state(alice, parent) == (NANO, 1000, 600, 400)
    holds.settle(hold_id=grandchild.pk, rated=cost(100))
    assert state(alice, child) == (NANO - 100, 900, 300, 100)
    late = carve(child, 50)
    holds.release(hold_id=child.pk)
    assert state(alice, parent) == (NANO - 100, 900, 850, 150)
    holds.settle(hold_id=late.pk, rated=cost(20))
    assert state(alice, parent) == (NANO - 120, 850, 850, 150)


def test_a_keys_limit_counts_children_once(alice: Account) -> None:
    key, _ = keys.issue(account=alice, name="k", limit_nano=1000)
    parent = place(alice, 1000, key)
    holds.settle(hold_id=carve(parent, 400).pk, rated=cost(150))
    holds.release(hold_id=parent.pk)
    assert holds.affordable(account_id=alice.pk, key_id=key.pk) == 850
    assert invariants.run() == []


@pytest.mark.django_db(transaction=True)
def test_parts_taken_and_ended_at_once_add_up() -> None:
    account = make.account()
    fund(account, "1.00")
    parent = place(account, 1000)

    def step(n: int) -> object:
        child = carve(parent, 90)
        return holds.settle(hold_id=child.pk, rated=cost(30)) if n % 2 else holds.release(hold_id=child.pk)

    done = in_threads(60, step)
    spent = 30 * sum(1 for one in done if one and getattr(one, "amount_nano", None) == 30)
    assert state(account, parent) == (NANO - spent, 1000 - spent, 1000 - spent, spent)
    connection.close()
