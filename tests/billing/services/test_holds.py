"""Holds: never more than there is, ended once, and the books right after each."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection

from billing import invariants
from billing.models import Charge, Hold, LedgerAccount, Wallet
from billing.rating import Part, Rated, rate
from billing.services import balances, credits, holds
from marketplace.lib import ids
from marketplace.lib.errors import PaymentRequired
from marketplace.lib.money import NANO
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.factories import marketplace as make
from tests.factories.billing import fund

HOUR = dt.timedelta(hours=1)


def cost(nano: int) -> Rated:
    """A rated request of exactly this cost."""
    return rate({"request": 1_000_000}, {"request": nano})


def place(account: Account, nano: int, key: ApiKey | None = None) -> Hold:
    """A hold for a reference of its own."""
    return holds.place(
        account_id=account.pk,
        key_id=key.pk if key else None,
        amount_nano=nano,
        kind="chat",
        reference=str(ids.uuid7()),
        expires_in=HOUR,
    )


@pytest.fixture
def alice(db: None) -> Account:
    """An account with one dollar."""
    account = make.account()
    fund(account, "1.00")
    return account


def wallet(account: Account) -> Wallet:
    """As it stands in the database."""
    return Wallet.objects.get(account=account)


class TestPlace:
    """Setting money aside."""

    def test_it_holds(self, alice: Account) -> None:
        place(alice, 300)
        assert (wallet(alice).balance_nano, wallet(alice).held_nano) == (NANO, 300)

    def test_all_there_is_can_be_held_and_no_more(self, alice: Account) -> None:
        place(alice, NANO)
        with pytest.raises(holds.InsufficientCredit) as refused:
            place(alice, 1)
        assert refused.value.metadata["available_usd"] == "0.00"
        assert wallet(alice).held_nano == NANO

    def test_an_account_without_a_wallet_has_nothing(self, db: None) -> None:
        with pytest.raises(holds.InsufficientCredit):
            place(make.account(email="poor@example.com"), 1)

    def test_a_keys_limit_binds_too(self, alice: Account) -> None:
        key, _ = keys.issue(account=alice, name="k", limit_nano=100)
        place(alice, 60, key)
        with pytest.raises(holds.KeyLimitExceeded) as refused:
            place(alice, 41, key)
        assert refused.value.metadata == {
            "limit_source": "key",
            "needed_usd": "0.000000041",
            "available_usd": "0.00000004",
        }
        assert wallet(alice).held_nano == 60

    def test_a_lowered_limit_bites_at_once(self, alice: Account) -> None:
        key, _ = keys.issue(account=alice, name="k", limit_nano=100)
        place(alice, 60, key)
        keys.change(account=alice, key_id=key.pk, limit=(60, ""))
        with pytest.raises(holds.KeyLimitExceeded):
            place(alice, 1, key)

    def test_a_frozen_wallet_refuses(self, alice: Account) -> None:
        Wallet.objects.filter(account=alice).update(is_frozen=True)
        with pytest.raises(PaymentRequired, match="frozen"):
            place(alice, 1)

    def test_a_negative_hold_is_a_bug(self, alice: Account) -> None:
        with pytest.raises(ValueError, match="not negative"):
            place(alice, -1)


class TestSettle:
    """Ending a hold with a charge."""

    def test_the_cost_is_taken_the_rest_is_free_and_the_split_is_exact(self, alice: Account) -> None:
        operator = make.account(email="op@example.com")
        hold = place(alice, 1000)
        charge = holds.settle(
            hold_id=hold.pk, rated=cost(999), parts=[Part("provider_payable", operator.pk, bps=9_500)]
        )
        assert charge is not None
        assert (wallet(alice).balance_nano, wallet(alice).held_nano) == (NANO - 999, 0)
        provider = balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=operator.pk)
        platform = balances.of(kind=LedgerAccount.Kind.PLATFORM_REVENUE)
        assert (provider, platform) == (949, 50)
        assert invariants.run() == []

    def test_only_the_first_of_settle_and_release_counts(self, alice: Account) -> None:
        hold = place(alice, 1000)
        assert holds.settle(hold_id=hold.pk, rated=cost(10)) is not None
        assert holds.settle(hold_id=hold.pk, rated=cost(10)) is None
        assert holds.release(hold_id=hold.pk) is False
        assert wallet(alice).balance_nano == NANO - 10
        assert Charge.objects.count() == 1

    def test_a_free_request_leaves_a_charge_of_nothing(self, alice: Account) -> None:
        charge = holds.settle(hold_id=place(alice, 5).pk, rated=cost(0))
        assert charge is not None
        assert (charge.amount_nano, charge.transaction) == (0, None)
        assert invariants.run() == []

    def test_a_cost_above_the_hold_draws_on_what_is_free(self, alice: Account) -> None:
        charge = holds.settle(hold_id=place(alice, 100).pk, rated=cost(150))
        assert charge is not None
        assert (charge.amount_nano, charge.bad_debt_nano) == (150, 0)
        assert (wallet(alice).balance_nano, wallet(alice).held_nano) == (NANO - 150, 0)
        assert invariants.run() == []

    def test_what_nobody_can_pay_is_bad_debt_and_the_provider_is_still_credited(self, alice: Account) -> None:
        operator = make.account(email="op@example.com")
        hold = place(alice, NANO)
        charge = holds.settle(
            hold_id=hold.pk, rated=cost(NANO + 1000), parts=[Part("provider_payable", operator.pk, bps=9_500)]
        )
        assert charge is not None
        assert (charge.amount_nano, charge.bad_debt_nano) == (NANO, 1000)
        assert wallet(alice).balance_nano == 0
        assert balances.of(kind=LedgerAccount.Kind.BAD_DEBT) == -1000
        assert balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=operator.pk) == 950_000_950
        assert invariants.run() == []

    def test_a_keys_limit_also_caps_the_excess(self, alice: Account) -> None:
        key, _ = keys.issue(account=alice, name="k", limit_nano=120)
        charge = holds.settle(hold_id=place(alice, 100, key).pk, rated=cost(150))
        assert charge is not None
        assert (charge.amount_nano, charge.bad_debt_nano) == (120, 30)
        assert invariants.run() == []

    def test_a_settled_budget_is_spent(self, alice: Account) -> None:
        key, _ = keys.issue(account=alice, name="k", limit_nano=100)
        holds.settle(hold_id=place(alice, 90, key).pk, rated=cost(40))
        assert holds.affordable(account_id=alice.pk, key_id=key.pk) == 60


class TestExtend:
    """Adding to a hold while the work goes on."""

    def test_it_adds(self, alice: Account) -> None:
        hold = place(alice, 100)
        assert holds.extend(hold_id=hold.pk, amount_nano=50, expires_in=HOUR) is True
        hold.refresh_from_db()
        assert (hold.amount_nano, wallet(alice).held_nano) == (150, 150)

    def test_a_refused_extension_leaves_the_hold_as_it_was(self, alice: Account) -> None:
        hold = place(alice, 100)
        with pytest.raises(holds.InsufficientCredit):
            holds.extend(hold_id=hold.pk, amount_nano=NANO, expires_in=HOUR)
        hold.refresh_from_db()
        assert (hold.amount_nano, wallet(alice).held_nano) == (100, 100)

    def test_an_ended_hold_is_not_extended(self, alice: Account) -> None:
        hold = place(alice, 100)
        holds.release(hold_id=hold.pk)
        assert holds.extend(hold_id=hold.pk, amount_nano=1, expires_in=HOUR) is False
        assert wallet(alice).held_nano == 0


def in_threads(count: int, work: object) -> list[object]:
    """Run `work(n)` for n < count on 8 threads, each with its own connection; returns results or errors."""

    def one(n: int) -> object:
        try:
            return work(n)  # type: ignore[operator]
        except PaymentRequired as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_on_money_for_ten() -> None:
    account = make.account()
    fund(account, "0.0000001")  # 100 nano-dollars
    results = in_threads(50, lambda n: place(account, 10))
    assert sum(isinstance(result, Hold) for result in results) == 10
    assert wallet(account).held_nano == 100
    assert invariants.run() == []


@pytest.mark.django_db(transaction=True)
def test_a_keys_limit_holds_under_concurrency() -> None:
    account = make.account()
    fund(account, "1.00")
    key, _ = keys.issue(account=account, name="k", limit_nano=100)

    def hold_and_settle(n: int) -> object:
        hold = place(account, 10, key)
        return holds.settle(hold_id=hold.pk, rated=cost(7))

    in_threads(60, hold_and_settle)
    assert holds.affordable(account_id=account.pk, key_id=key.pk) < 10
    assert sum(Charge.objects.filter(key=key).values_list("amount_nano", flat=True)) <= 100
    assert invariants.run() == []


@pytest.mark.django_db(transaction=True)
def test_settle_and_release_race_to_one_end() -> None:
    account = make.account()
    fund(account, "1.00")
    opened = [place(account, 100).pk for _ in range(10)]

    def end(n: int) -> object:
        hold_id: UUID = opened[n // 4]
        return holds.settle(hold_id=hold_id, rated=cost(30)) if n % 2 else holds.release(hold_id=hold_id)

    results = in_threads(40, end)
    assert sum(1 for result in results if result) == 10
    assert wallet(account).held_nano == 0
    assert invariants.run() == []


def test_promotional_credit_comes_once_per_reference(alice: Account) -> None:
    assert credits.grant(account_id=alice.pk, amount_nano=5, reference="welcome") is True
    assert credits.grant(account_id=alice.pk, amount_nano=5, reference="welcome") is False
    assert wallet(alice).balance_nano == NANO + 5
