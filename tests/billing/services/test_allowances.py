"""Guardrails' budgets: drawn on by every hold that they bind, never exceeded, and right after each end."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from billing import invariants
from billing.models import Allowance, Hold
from billing.rating import rate
from billing.services import allowances, budgets, holds
from billing.services.allowances import AllowanceExceeded
from marketplace.lib import ids
from marketplace.models import Account, ApiKey, Guardrail, Member, User
from marketplace.services import guardrails, keys
from tests.factories import marketplace as make
from tests.factories.billing import fund

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def team(db: None) -> Account:
    made = make.team(slug="shop", members=("bob@example.com",))
    fund(made, "1.00")
    return made


def a_key(account: Account, *, by: str | None = None) -> ApiKey:
    return keys.issue(account=account, name="app", created_by=User.objects.get(email=by) if by else None)[0]


def guard(account: Account, nano: int, **more: Any) -> Guardrail:
    return guardrails.create(account=account, values={"name": "Team rules", "limit_nano": nano, **more})


def place(account: Account, nano: int, key: ApiKey | None = None, user_id: int | None = None) -> Hold:
    return holds.place(
        account_id=account.pk, key_id=key.pk if key else None, amount_nano=nano, kind="chat",
        reference=str(ids.uuid7()), expires_in=HOUR, user_id=user_id,
    )  # fmt: skip


def settle(hold: Hold, nano: int) -> None:
    assert holds.settle(hold_id=hold.pk, rated=rate({"request": 1_000_000}, {"request": nano}))


def test_holds_draw_on_it_and_ends_give_back(team: Account) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    first, second = place(team, 600, key), place(team, 400, key)
    with pytest.raises(AllowanceExceeded) as caught:
        place(team, 1, key)
    assert caught.value.status == 403
    assert caught.value.metadata["guardrails"] == ["Team rules"]
    assert caught.value.metadata["interval"] == "lifetime"
    settle(first, 100)
    assert holds.release(hold_id=second.pk)
    row = Allowance.objects.get()
    assert (row.spent_nano, row.held_nano) == (100, 0)
    place(team, 900, key)
    assert invariants.run() == []


def test_each_key_has_its_own(team: Account) -> None:
    one, two = a_key(team), a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[one, two])
    place(team, 1_000, one)
    place(team, 1_000, two)


def test_a_members_is_over_all_their_keys_and_the_portal(team: Account) -> None:
    mine, mine_too, not_mine = a_key(team, by="bob@example.com"), a_key(team, by="bob@example.com"), a_key(team)
    bob = Member.objects.get(account=team, user__email="bob@example.com")
    guardrails.assign_members(row=guard(team, 1_000), members=[bob])
    place(team, 500, mine)
    place(team, 300, mine_too)
    place(team, 200, user_id=bob.user_id)
    place(team, 5_000, not_mine)
    for key, user_id in ((mine, None), (mine_too, None), (None, bob.user_id)):
        with pytest.raises(AllowanceExceeded):
            place(team, 1, key, user_id)
    assert invariants.run() == []


def test_both_the_keys_and_the_members_bind(team: Account) -> None:
    key = a_key(team, by="bob@example.com")
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    bob = Member.objects.get(account=team, user__email="bob@example.com")
    guardrails.assign_members(row=guard(team, 300, name="Bob's"), members=[bob])
    assert holds.affordable(account_id=team.pk, key_id=key.pk) == 300
    with pytest.raises(AllowanceExceeded, match="Bob's"):
        place(team, 301, key)
    settle(place(team, 300, key), 300)
    assert sorted(Allowance.objects.values_list("spent_nano", flat=True)) == [300, 300]


def test_an_extension_draws_too(team: Account) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    hold = place(team, 600, key)
    assert holds.extend(hold_id=hold.pk, amount_nano=400, expires_in=HOUR)
    with pytest.raises(AllowanceExceeded):
        holds.extend(hold_id=hold.pk, amount_nano=1, expires_in=HOUR)
    hold.refresh_from_db()
    assert hold.amount_nano == 1_000
    settle(hold, 1_000)
    assert invariants.run() == []


def test_a_charge_beyond_its_hold_stays_within_the_budget(team: Account) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    settle(place(team, 600, key), 5_000)
    assert Allowance.objects.get().spent_nano == 1_000
    assert invariants.run() == []


def test_what_is_carved_was_drawn_before(team: Account) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    whole = place(team, 1_000, key)
    part = holds.carve(parent_id=whole.pk, amount_nano=600, kind="chat", reference=str(ids.uuid7()), expires_in=HOUR)
    assert Allowance.objects.get().held_nano == 1_000
    assert invariants.run() == []
    settle(part, 200)
    assert Allowance.objects.values_list("spent_nano", "held_nano").get() == (200, 800)
    assert holds.release(hold_id=whole.pk)
    assert Allowance.objects.values_list("spent_nano", "held_nano").get() == (200, 0)
    assert invariants.run() == []


def test_it_starts_anew_at_the_periods_end(team: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000, limit_reset="daily"), keys=[key])
    moment = dt.datetime(2026, 7, 15, 23, 59, 59, tzinfo=dt.UTC)
    monkeypatch.setattr(budgets, "database_now", lambda: moment)
    yesterdays = place(team, 1_000, key)
    monkeypatch.setattr(budgets, "database_now", lambda: moment + dt.timedelta(seconds=1))
    place(team, 1_000, key)
    settle(yesterdays, 1_000)
    assert sorted(Allowance.objects.values_list("spent_nano", "held_nano")) == [(0, 1_000), (1_000, 0)]


def test_a_change_bites_at_once_and_a_deleted_guardrail_lets_go(team: Account) -> None:
    key = a_key(team)
    row = guard(team, 1_000)
    guardrails.assign_keys(row=row, keys=[key])
    hold = place(team, 500, key)
    guardrails.change(row=row, values={"limit_nano": 400})
    with pytest.raises(AllowanceExceeded):
        place(team, 1, key)
    guardrails.change(row=row, values={"limit_nano": None})
    place(team, 5_000, key)
    guardrails.delete(row=row)
    place(team, 9_000, key)
    settle(hold, 500)
    assert invariants.run() == []


def test_the_books_tell_when_it_does_not_equal_its_holds(team: Account) -> None:
    key = a_key(team)
    guardrails.assign_keys(row=guard(team, 1_000), keys=[key])
    place(team, 500, key)
    Allowance.objects.update(held_nano=499)
    assert [one.check for one in invariants.run()] == ["allowances_equal_their_holds"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_however_many_draw_at_once_it_is_never_exceeded() -> None:
    account = make.account()
    fund(account, "1.00")
    key = a_key(account)
    guardrails.assign_keys(row=guard(account, 1_000), keys=[key])

    def one(_: int) -> bool:
        try:
            place(account, 100, key)
        except AllowanceExceeded:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(40))) == 10
    assert Allowance.objects.get().held_nano == 1_000
    assert allowances.remaining(list(Allowance.objects.all())) == 0
    assert invariants.run() == []
