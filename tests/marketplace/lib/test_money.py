"""Dollars in text to integers and back, without losing anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import money


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("5.00", 5_000_000_000),
        ("$5", 5_000_000_000),
        ("0.000000001", 1),
        ("-1.5", -1_500_000_000),
        ("1_000", 10**12),
        ("1e-9", 1),
    ],
)
def test_dollars_become_nano_dollars(text: str, nano: int) -> None:
    assert money.parse_usd(text) == nano


@pytest.mark.parametrize("text", ["", "five", "0.0000000001", "NaN", "Infinity", "1e30", "0x10"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(money.BadAmount):
        money.parse_usd(text)


@given(st.integers(-(2**62), 2**62))
def test_formatting_loses_nothing(nano: int) -> None:
    assert money.parse_usd(money.format_usd(nano)) == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (1, "0.000000001"), (50_000_000, "0.05"), (1_050_000_000, "1.05"), (10**12, "1000.00")],
)
def test_amounts_read_well(nano: int, text: str) -> None:
    assert money.format_usd(nano) == text


def test_a_token_price_is_kept_per_million() -> None:
    assert money.price_per_million("0.15") == 150_000_000
    assert money.format_price_per_unit(150_000_000) == "0.00000015"


def test_a_price_per_thing_is_kept_per_million_things() -> None:
    assert money.price_per_unit("0.04") == 40_000_000 * 1_000_000
    assert money.format_price_per_unit(money.price_per_unit("0.04")) == "0.04"
