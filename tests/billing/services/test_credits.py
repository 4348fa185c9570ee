"""Promotional credit: used first, gone at its end, and never more of it than was given."""

from __future__ import annotations

import datetime as dt
from unittest import mock

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from billing import expiry, invariants
from billing.expiry import Gift
from billing.models import LedgerAccount
from billing.services import balances, credits, holds, ledger
from marketplace.lib.errors import InvalidRequest
from tests.billing.services.test_holds import cost, place
from tests.factories import marketplace as make

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def spending(*charges: tuple[int, int]) -> object:
    """`spent` of charges given as (day, amount)."""

    def spent(since: dt.datetime, until: dt.datetime) -> int:
        return sum(amount for day, amount in charges if since <= START + day * DAY < until)

    return spent


def test_the_gift_that_ends_first_is_used_first() -> None:
    gifts = [Gift(1, 100, START, None), Gift(2, 100, START, START + 10 * DAY), Gift(3, 100, START, START + 5 * DAY)]
    spent = spending((1, 150))
    assert expiry.left(gifts, spent, now=START + 2 * DAY) == {1: 100, 2: 50, 3: 0}  # type: ignore[arg-type]


def test_what_is_spent_after_a_gifts_end_is_not_its_own() -> None:
    gifts = [Gift(1, 100, START, START + 5 * DAY)]
    assert expiry.left(gifts, spending((1, 30), (6, 50)), now=START + 9 * DAY) == {1: 70}  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 9))), max_size=5),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 80)), max_size=10),
    st.integers(0, 25),
)
def test_each_day_by_itself_gives_the_same(
    given_gifts: list[tuple[int, int, int | None]], charges: list[tuple[int, int]], now: int
) -> None:
    gifts = [
        Gift(n, amount, START + begin * DAY, None if length is None else START + (begin + length) * DAY)
        for n, (amount, begin, length) in enumerate(given_gifts)
    ]
    rest = {gift.id: gift.amount_nano for gift in gifts if gift.begins <= START + now * DAY}
    for day in range(now):
        used = sum(amount for one, amount in charges if one == day)
        moment = START + day * DAY
        alive = [gift for gift in gifts if gift.begins <= moment and (gift.ends is None or gift.ends > moment)]
        for gift in sorted(alive, key=lambda one: (one.ends is None, one.ends or one.begins, one.id)):
            taken = min(used, rest[gift.id])
            rest[gift.id] -= taken
            used -= taken
    assert expiry.left(gifts, spending(*charges), now=START + now * DAY) == rest  # type: ignore[arg-type]


def test_what_is_unused_leaves_the_wallet_at_its_end(db: None) -> None:
    account = make.account()
    with mock.patch.object(timezone, "now", return_value=START):
        credits.grant(account_id=account.pk, amount_nano=1000, reference="a", expires_at=START + 5 * DAY)
        credits.grant(account_id=account.pk, amount_nano=500, reference="b")
    with mock.patch.object(timezone, "now", return_value=START + DAY):
        holds.settle(hold_id=place(account, 300).pk, rated=cost(300))
    assert credits.promotional_left(account_id=account.pk, now=START + 2 * DAY) == 1200
    assert credits.expire(START + 4 * DAY) == 0
    assert credits.expire(START + 6 * DAY) == 1
    assert credits.expire(START + 6 * DAY) == 0
    assert ledger.wallet_of(account.pk).balance_nano == 500
    assert balances.of(kind=LedgerAccount.Kind.PROMOTIONAL_EXPENSE) == -800
    assert credits.promotional_left(account_id=account.pk, now=START + 7 * DAY) == 500
    assert [one.check for one in invariants.run()] == []


def test_what_runs_at_the_end_keeps_what_it_holds(db: None) -> None:
    account = make.account()
    with mock.patch.object(timezone, "now", return_value=START):
        credits.grant(account_id=account.pk, amount_nano=1000, reference="a", expires_at=START + 5 * DAY)
    hold = place(account, 600)
    assert credits.expire(START + 6 * DAY) == 0
    assert ledger.wallet_of(account.pk).balance_nano == 1000
    with mock.patch.object(timezone, "now", return_value=START + 6 * DAY):
        holds.settle(hold_id=hold.pk, rated=cost(600))
    assert credits.expire(START + 7 * DAY) == 1
    assert ledger.wallet_of(account.pk).balance_nano == 0


def test_an_end_in_the_past_is_refused(db: None) -> None:
    with pytest.raises(InvalidRequest, match="in the future"):
        credits.grant(account_id=make.account().pk, amount_nano=1, reference="x", expires_at=START - 999 * DAY)
