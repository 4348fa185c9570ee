"""Corrections are charges of the difference; the original stays as it was booked."""

from __future__ import annotations

import pytest

from billing import invariants
from billing.models import Charge, LedgerAccount, Wallet
from billing.rating import Part
from billing.services import balances, corrections, holds
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.billing.services.test_holds import cost, place
from tests.factories import marketplace as make
from tests.factories.billing import fund

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    """An account with one dollar."""
    account = make.account()
    fund(account, "1.00")
    return account


def charged(account: Account, nano: int, provider: Account, hold: int = 1000) -> Charge:
    """A charge of which the provider gets its share."""
    charge = holds.settle(hold_id=place(account, hold).pk, rated=cost(nano), parts=to(provider))
    assert charge is not None
    return charge


def to(provider: Account) -> list[Part]:
    """The provider's usual share."""
    return [Part("provider_payable", provider.pk, bps=9_500)]


def shares(provider: Account) -> tuple[int, int]:
    """What the provider and the platform have."""
    owed = balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=provider.pk)
    return owed, balances.of(kind=LedgerAccount.Kind.PLATFORM_REVENUE)


@pytest.mark.parametrize("truth", [400, 1500, 0])
def test_books_end_as_if_the_truth_had_been_charged(alice: Account, truth: int) -> None:
    provider = make.account(email="op@example.com")
    charge = charged(alice, 1000, provider)
    made = corrections.correct(charge_id=charge.pk, rated=cost(truth), parts=to(provider), reason="reported late")
    assert made is not None
    assert (made.amount_nano, made.corrects_id) == (truth - 1000, charge.pk)
    assert Wallet.objects.get(account=alice).balance_nano == NANO - truth
    assert shares(provider) == (truth * 95 // 100, truth - truth * 95 // 100)
    charge.refresh_from_db()
    assert charge.amount_nano == 1000
    assert invariants.run() == []


def test_a_charge_is_corrected_once_and_a_correction_never(alice: Account) -> None:
    provider = make.account(email="op@example.com")
    charge = charged(alice, 1000, provider)
    made = corrections.correct(charge_id=charge.pk, rated=cost(400), parts=to(provider), reason="late")
    assert corrections.correct(charge_id=charge.pk, rated=cost(300), parts=to(provider), reason="later") is None
    assert made is not None
    with pytest.raises(InvalidRequest, match="correction itself"):
        corrections.correct(charge_id=made.pk, rated=cost(1), reason="again")
    assert Wallet.objects.get(account=alice).balance_nano == NANO - 400


def test_more_than_is_free_is_bad_debt_and_what_was_never_paid_is_not_given_back(alice: Account) -> None:
    provider = make.account(email="op@example.com")
    charge = charged(alice, NANO + 500, provider, hold=NANO)
    made = corrections.correct(charge_id=charge.pk, rated=cost(NANO + 200), parts=to(provider), reason="less")
    assert made is not None
    assert (made.amount_nano, made.bad_debt_nano) == (0, -300)
    assert balances.of(kind=LedgerAccount.Kind.BAD_DEBT) == -200
    assert invariants.run() == []
    fund(alice, "0.0000001")
    second = charged(alice, 50, provider, hold=60)
    corrections.correct(charge_id=second.pk, rated=cost(400), parts=to(provider), reason="more")
    assert Wallet.objects.get(account=alice).balance_nano == 0
    assert balances.of(kind=LedgerAccount.Kind.BAD_DEBT) == -200 - 300
    assert invariants.run() == []
