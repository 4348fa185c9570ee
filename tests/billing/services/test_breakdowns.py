"""One request's cost taken apart: it adds up to what was charged and held."""

from __future__ import annotations

import pytest

from billing.models import Hold
from billing.rating import Part, rate
from billing.services import breakdowns, corrections, holds
from billing.services.breakdowns import Breakdown, Held, Share
from marketplace.models import Account
from tests.billing.services.test_holds import place
from tests.factories import marketplace as make
from tests.factories.billing import fund

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    """An account with one dollar."""
    account = make.account()
    fund(account, "1.00")
    return account


def cost_of(hold: Hold) -> Breakdown:
    """Its request's cost."""
    found = breakdowns.of(account_id=hold.wallet.account_id, kind=hold.kind, reference=hold.reference)
    assert found is not None
    return found


def test_lines_are_counts_times_prices_and_add_up_to_what_was_charged(alice: Account) -> None:
    hold = place(alice, 1_000_000)
    prices = {"prompt": 150_000_000, "cached_read": 15_000_000, "completion": 600_000_001}
    rated = rate(prices, {"prompt": 100, "cached_read": 900, "completion": 7, "reasoning": 0})
    operator = make.account(email="op@example.com")
    holds.settle(hold_id=hold.pk, rated=rated, parts=[Part("provider_payable", operator.pk, bps=9_500)])
    found = cost_of(hold)
    assert [(line.unit, line.quantity, line.amount) for line in found.lines] == [
        ("prompt", 100, "$0.000015"),
        ("cached_read", 900, "$0.0000135"),
        ("completion", 7, "$0.000004200000007"),
    ]
    assert (found.total, found.amount_nano, found.final_nano) == ("$0.000032700000007", 32_700, 32_700)
    assert found.saved == "$0.0001215"
    assert found.shares == [Share("The provider", 31_065), Share("The platform", 1_635)]
    assert found.held == Held(1_000_000, 1_000_000 - 32_700, True)


def test_what_was_beyond_the_balance_and_what_was_corrected_are_lines_of_their_own(alice: Account) -> None:
    hold = place(alice, 10**9)
    charge = holds.settle(hold_id=hold.pk, rated=rate({"prompt": 10**9}, {"prompt": 1_500_000}))
    assert charge is not None
    corrections.correct(charge_id=charge.pk, rated=rate({"prompt": 10**9}, {"prompt": 400_000}), reason="late usage")
    found = cost_of(hold)
    assert (found.total, found.amount_nano, found.unpaid_nano) == ("$1.50", 10**9, 5 * 10**8)
    assert [(one.reason, one.amount_nano) for one in found.corrections] == [("late usage", -6 * 10**8)]
    assert found.final_nano == 4 * 10**8
    assert found.held == Held(10**9, 0, True)


def test_what_was_released_cost_nothing_and_went_back_whole(alice: Account) -> None:
    hold = place(alice, 500)
    assert cost_of(hold).held == Held(500, 0, False)
    holds.release(hold_id=hold.pk)
    found = cost_of(hold)
    assert (found.lines, found.final_nano, found.held) == ((), 0, Held(500, 500, True))


def test_another_accounts_request_has_no_cost_here(alice: Account) -> None:
    hold = place(alice, 500)
    stranger = make.account(email="charlie@example.com")
    assert breakdowns.of(account_id=stranger.pk, kind=hold.kind, reference=hold.reference) is None
