"""What is left for the platform: months, and one month by model and provider. Every number is the ledger's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from billing.models import LedgerAccount
from billing.services import daybook
from billing.services.earnings import EARNED, next_month
from marketplace.lib.errors import NotFound

_Kind = LedgerAccount.Kind
# Income and expense; payables, clearing and tax belong to others.
RESULT: Final = (_Kind.PLATFORM_REVENUE, _Kind.PROMOTIONAL_EXPENSE, _Kind.FEES, _Kind.SETTLEMENT_LOSS, _Kind.BAD_DEBT)
_SHARED: Final = (*RESULT, _Kind.PROVIDER_PAYABLE, _Kind.PUBLISHER_PAYABLE)
TITLES: Final = {
    "grant": "Promotional credit given",
    "grant_expired": "Promotional credit that ended unused",
    "topup": "Our fees on top-ups",
    "stripe_fee": "Stripe's fees",
    "refund_cleared": "Fees sent back with payments",
    "dispute": "Disputes",
    "dispute_won": "Disputes won",
    "write_off": "Debts written off",
    "bank_transfer": "Stripe's fees for transfers to the bank",
    "settlement": "Invoices that differed from the books",
}


@dataclass(slots=True)
class Shares:
    """What users paid and who has it, in nano-USD; expenses are negative, as in the ledger."""

    requests: int = 0
    by_side: dict[str, int] = field(default_factory=dict)

    def add(self, side: str, amount_nano: int) -> None:
        """Take a ledger account's amount in."""
        self.by_side[side] = self.by_side.get(side, 0) + amount_nano

    def count(self, entries: int) -> None:
        """A request has at most one entry on each side, and there may be none on some: the most is all of them."""
        self.requests = max(self.requests, entries)

    @property
    def paid_nano(self) -> int:
        """What wallets paid: transactions add up to zero, so it is what all others got."""
        return sum(self.by_side.values())

    @property
    def providers_nano(self) -> int:
        """The providers' part."""
        return self.by_side.get(_Kind.PROVIDER_PAYABLE, 0)

    @property
    def publishers_nano(self) -> int:
        """The publishers' part."""
        return self.by_side.get(_Kind.PUBLISHER_PAYABLE, 0)

    @property
    def platform_nano(self) -> int:
        """The platform's part, before what could not be paid."""
        return self.by_side.get(_Kind.PLATFORM_REVENUE, 0)

    @property
    def bad_debt_nano(self) -> int:
        """What users could not pay of it."""
        return self.by_side.get(_Kind.BAD_DEBT, 0)

    @property
    def losses_nano(self) -> int:
        """What providers billed beyond it, and we bear."""
        return self.by_side.get(_Kind.SETTLEMENT_LOSS, 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One model at one provider."""

    model: str
    provider: str
    shares: Shares


@dataclass(frozen=True, slots=True)
class Other:
    """Income or expense that is no use: how often, and how much."""

    title: str
    count: int
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Month:
    """A month: what use brought, what else came and went, and what is left. `by_side` is the ledger's own."""

    first: dt.date
    use: Shares
    lines: list[Line]
    others: list[Other]
    by_side: dict[str, int]

    @property
    def margin_nano(self) -> int:
        """What is left: the sum of all income and expense."""
        return sum(self.by_side.values())

    @property
    def promotional_nano(self) -> int:
        """Promotional credit, less what ended unused."""
        return self.by_side.get(_Kind.PROMOTIONAL_EXPENSE, 0)

    @property
    def fees_nano(self) -> int:
        """Our fees on top-ups less Stripe's."""
        return self.by_side.get(_Kind.FEES, 0)

    @property
    def losses_nano(self) -> int:
        """What providers billed beyond our books."""
        return self.by_side.get(_Kind.SETTLEMENT_LOSS, 0)

    @property
    def bad_debt_nano(self) -> int:
        """What users could not pay or owe no more."""
        return self.by_side.get(_Kind.BAD_DEBT, 0)


def listed() -> list[tuple[dt.date, int]]:
    """(first day, what is left in nano-USD) of the months in which there was anything, the latest first."""
    found = daybook.sums(by=("month",), sides=RESULT)
    return sorted(((first, total.amount_nano) for (first,), total in found.items()), reverse=True)


def month(*, year: int, month: int) -> Month:
    """One month. Raises NotFound for one that is none."""
    try:
        first = dt.date(year, month, 1)
        until = next_month(first)
    except (ValueError, OverflowError):
        raise NotFound("There is no such month: write 2026-11.") from None
    used = daybook.sums(by=("model", "provider", "side", "kind"), sides=_SHARED, since=first, until=until, kinds=EARNED)
    use, lines = Shares(), dict[tuple[str, str], Shares]()
    for (model, provider, side, kind), total in used.items():
        one = lines.setdefault((model, provider), Shares())
        for shares in (use, one):
            shares.add(side, total.amount_nano)
        one.count(total.count if kind == "charge" else 0)
    use.requests = sum(one.requests for one in lines.values())
    result = daybook.sums(by=("kind", "side"), sides=RESULT, since=first, until=until)
    by_side: dict[str, int] = {}
    others: dict[str, list[int]] = {}
    for (kind, side), total in result.items():
        by_side[side] = by_side.get(side, 0) + total.amount_nano
        if kind not in EARNED:
            sums = others.setdefault(kind, [0, 0])
            sums[0] += total.count
            sums[1] += total.amount_nano
    return Month(
        first=first,
        use=use,
        lines=sorted(
            (Line(*name, shares) for name, shares in lines.items()),
            key=lambda line: (-line.shares.paid_nano, line.model, line.provider),
        ),
        others=[Other(TITLES.get(kind, kind.replace("_", " ").capitalize()), *sums) for kind, sums in others.items()],
        by_side=by_side,
    )
