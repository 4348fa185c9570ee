"""What one request cost, taken apart: counts times prices, who gets which part, what was held and given back.

All of it is read from the charge, which keeps the prices, counts and shares that made it, and from its hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from billing import rating
from billing.models import Charge, Hold, LedgerAccount
from marketplace.lib.money import format_exact

# The order of a bill: what went in, what came out, the rest by name.
ORDER: Final = ("prompt", "cached_read", "cached_write", "completion", "reasoning")
# Parts of the prompt that have a price of their own: what they saved (or cost) against it.
CACHED: Final = ("cached_read", "cached_write")
SHARES: Final[Mapping[str, str]] = {
    LedgerAccount.Kind.PROVIDER_PAYABLE: "The provider",
    LedgerAccount.Kind.PUBLISHER_PAYABLE: "The publisher",
    LedgerAccount.Kind.PLATFORM_REVENUE: "The platform",
    LedgerAccount.Kind.SETTLEMENT_LOSS: "Our loss",
}


class Line(rating.Line):
    """A charge's line, as a page shows it."""

    __slots__ = ()

    @property
    def amount(self) -> str:
        """Quantity times price in dollars, every digit."""
        return _dollars(self.exact)


@dataclass(frozen=True, slots=True)
class Share:
    """What one party gets, in nano-USD."""

    title: str
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Correction:
    """A later change of the charge, in nano-USD."""

    charge: Charge
    reason: str
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Held:
    """What was set aside before the request, and what of it went back; `is_over` when the hold has ended."""

    amount_nano: int
    given_back_nano: int
    is_over: bool


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A request's cost. `lines` are empty when nothing was charged; `final_nano` has the corrections in it."""

    lines: Sequence[Line]
    total: str
    amount_nano: int
    unpaid_nano: int
    saved: str
    is_byok: bool
    upstream_nano: int
    shares: Sequence[Share]
    corrections: Sequence[Correction]
    final_nano: int
    held: Held | None


def of(*, account_id: int, kind: str, reference: str) -> Breakdown | None:
    """The cost of one of the account's requests; None when nothing was ever held for it."""
    hold = Hold.objects.filter(kind=kind, reference=reference, wallet__account_id=account_id).first()
    charge = Charge.objects.for_account(account_id).filter(kind=kind, reference=reference).first()
    if charge is None:
        return None if hold is None else _free(_held(hold, 0))
    lines = [
        Line(unit, int(count), int(charge.prices.get(unit, 0)))
        for unit, count in sorted(charge.quantities.items(), key=_place)
        if count
    ]  # fmt: skip
    corrections = [
        Correction(row, str(row.labels.get("reason", "")), row.amount_nano)
        for row in charge.corrections.order_by("created_at")
    ]
    return Breakdown(
        lines=lines,
        total=_dollars(sum(line.exact for line in lines)),
        amount_nano=charge.amount_nano,
        unpaid_nano=charge.bad_debt_nano,
        saved=_saved(lines, charge.prices),
        is_byok=bool(charge.labels.get("byok")),
        upstream_nano=int(charge.labels.get("upstream_nano", 0)),
        shares=_shares(charge.shares),
        corrections=corrections,
        final_nano=charge.amount_nano + sum(one.amount_nano for one in corrections),
        held=_held(hold, charge.amount_nano) if hold else None,
    )


def _place(counted: tuple[str, Any]) -> tuple[int, str]:
    unit, _ = counted
    return (ORDER.index(unit) if unit in ORDER else len(ORDER), unit)


def _free(held: Held) -> Breakdown:
    return Breakdown((), "", 0, 0, "", False, 0, (), (), 0, held)


def _held(hold: Hold, charged_nano: int) -> Held:
    is_over = hold.state != Hold.State.OPEN
    # A charge may take more than was held, as far as money was free.
    return Held(hold.amount_nano, max(0, hold.amount_nano - charged_nano) if is_over else 0, is_over)


def _saved(lines: Sequence[Line], prices: Mapping[str, Any]) -> str:
    """What cached input cost less than it would have as plain input, in dollars; "" where it did not."""
    whole = int(prices.get("prompt", 0))
    less = sum(line.quantity * (whole - line.nano_per_million) for line in lines if line.unit in CACHED)
    return _dollars(less) if whole and less > 0 else ""


def _shares(shares: Sequence[Mapping[str, Any]]) -> list[Share]:
    found: dict[str, int] = {}
    for share in shares:
        found[share["kind"]] = found.get(share["kind"], 0) + int(share["amount_nano"])
    return [
        Share(SHARES.get(kind, kind.replace("_", " ").capitalize()), amount) for kind, amount in found.items() if amount
    ]


def _dollars(exact: int) -> str:
    return f"${format_exact(exact)}"
