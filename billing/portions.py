"""What a part of a payment is made of: credit, the tax on it, our fee. Pure integers, in cents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portion:
    """Cents of a payment by what they were paid for; together they are what was asked about."""

    credit: int
    tax: int
    fee: int


def tax_on(credit: int, *, amount: int, fee: int, tax: int) -> int:
    """The tax that belongs to a part of the credit, rounded half up: tax lies on credit and fee alike."""
    base = amount + fee
    return (2 * tax * credit + base) // (2 * base) if tax else 0


def of(gross: int, *, amount: int, fee: int, tax: int, credit_left: int, tax_left: int) -> Portion:
    """Cut what went back of a payment of `amount + fee + tax`: tax by its part, then credit, the rest is fee.

    `credit_left` and `tax_left` are what has not gone back before; a whole payment is cut into exactly its parts.
    """
    total = amount + fee + tax
    taxed = min((2 * tax * gross + total) // (2 * total), tax_left)
    credit = min(gross - taxed, credit_left)
    return Portion(credit, taxed, gross - taxed - credit)
