"""Rating and splitting: integers, one rounding, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating import Part, rate, split

PRICES = st.dictionaries(st.sampled_from(["prompt", "completion", "cached_read", "image"]), st.integers(0, 10**14))
COUNTS = st.dictionaries(st.sampled_from(["prompt", "completion", "cached_read", "other"]), st.integers(0, 10**7))
BPS = st.lists(st.integers(0, 3_000), max_size=3)


def test_tokens_times_prices() -> None:
    rated = rate({"prompt": 150_000_000, "completion": 600_000_000}, {"prompt": 1000, "completion": 500})
    assert rated.amount_nano == 150_000 + 300_000
    assert rated.quantities == {"prompt": 1000, "completion": 500}


@pytest.mark.parametrize(("price", "amount"), [(499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2)])
def test_half_a_nano_dollar_rounds_up(price: int, amount: int) -> None:
    assert rate({"prompt": price}, {"prompt": 1}).amount_nano == amount


def test_the_rounding_is_of_the_sum_and_not_of_its_lines() -> None:
    assert rate({"prompt": 400_000, "completion": 400_000}, {"prompt": 1, "completion": 1}).amount_nano == 1


def test_three_seconds_of_an_a100_at_the_articles_price() -> None:
    assert rate({"hardware_ms": 700_000 * 1000}, {"hardware_ms": 3000}).amount_nano == 2_100_000


def test_an_unpriced_unit_is_free_and_stays_on_the_bill() -> None:
    rated = rate({}, {"prompt": 5})
    assert (rated.amount_nano, rated.quantities) == (0, {"prompt": 5})


def test_a_negative_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        rate({"prompt": 1}, {"prompt": -1})


@given(PRICES, COUNTS)
def test_a_charge_is_within_half_a_nano_dollar_of_the_exact_sum(prices: dict[str, int], counts: dict[str, int]) -> None:
    exact = sum(count * prices.get(unit, 0) for unit, count in counts.items())
    assert -500_000 <= exact - rate(prices, counts).amount_nano * 1_000_000 <= 500_000


@given(st.integers(0, 10**15), BPS)
def test_shares_are_the_whole(amount: int, bps: list[int]) -> None:
    shares = split(amount, [Part("provider_payable", n, bps=b) for n, b in enumerate(bps)])
    assert sum(share.amount_nano for share in shares) == amount
    assert all(share.amount_nano >= 0 for share in shares)


def test_of_a_dollar_the_provider_gets_95_cents() -> None:
    provider, platform = split(1_000_000_000, [Part("provider_payable", 7, bps=9_500)])
    assert (provider.amount_nano, platform.amount_nano) == (950_000_000, 50_000_000)
    assert platform.kind == "platform_revenue"


def test_a_fixed_cost_is_paid_in_full() -> None:
    provider, platform = split(100, [Part("provider_payable", 7, fixed_nano=120)])
    assert (provider.amount_nano, platform.amount_nano) == (120, -20)


def test_more_than_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="more than everything"):
        split(1, [Part("a", 1, bps=9_500), Part("b", 2, bps=501)])
