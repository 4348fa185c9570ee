"""Money as integers: nano-USD (a billionth of a dollar). The only place that reads or writes dollars.

Prices are nano-USD per 1,000,000 units, so that $0.001 per million tokens is exactly 1,000,000
and one token of it is still a whole number in a sum (docs/money.md).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

NANO = 1_000_000_000
NANO_PER_CENT = NANO // 100
PER_MILLION = 1_000_000


class BadAmount(ValueError):
    """The text is no amount of dollars, or finer than we can keep."""


def _exact(text: str, scale: int, unit: str) -> int:
    try:
        amount = Decimal(text.strip().removeprefix("$").replace("_", ""))
    except (InvalidOperation, AttributeError):
        raise BadAmount(f"{text!r} is no amount: write dollars as a decimal, such as 0.15.") from None
    if not amount.is_finite():
        raise BadAmount(f"{text!r} is no amount.")
    scaled = amount * scale
    if scaled != scaled.to_integral_value():
        raise BadAmount(f"{text!r} is finer than {unit}.")
    if abs(scaled) >= 2**63:
        raise BadAmount(f"{text!r} is too large.")
    return int(scaled)


def parse_usd(text: str) -> int:
    """Dollars written as a decimal string -> nano-USD, exactly.

    Raises BadAmount for what is no number or finer than a nano-dollar.
    """
    return _exact(text, NANO, "a nano-dollar ($0.000000001)")


def price_per_million(text: str) -> int:
    """Dollars per million units -> nano-USD per million units (how token prices are written)."""
    return _exact(text, NANO, "a nano-dollar per million units")


def price_per_unit(text: str) -> int:
    """Dollars per single unit (image, second, request) -> nano-USD per million units."""
    return _exact(text, NANO * PER_MILLION, "a nano-dollar per million units")


def format_usd(nano: int) -> str:
    """Nano-USD -> dollars as an exact decimal string: at least two places, no more than needed."""
    return _decimal_text(Decimal(nano).scaleb(-9), places=2)


def format_exact(exact: int) -> str:
    """Nano-USD x 1,000,000 (a quantity times its price, unrounded) -> dollars, every digit, at least two places."""
    return _decimal_text(Decimal(exact).scaleb(-15), places=2)


def format_price_per_unit(nano_per_million: int) -> str:
    """Nano-USD per million units -> dollars per single unit, exact ("0.00000015")."""
    return _decimal_text(Decimal(nano_per_million).scaleb(-15), places=0)


def format_price_per_million(nano_per_million: int) -> str:
    """Nano-USD per million units -> dollars per million units ("0.15")."""
    return format_usd(nano_per_million)


def _decimal_text(amount: Decimal, *, places: int) -> str:
    whole, _, fraction = f"{amount:f}".partition(".")
    fraction = fraction.rstrip("0").ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole
