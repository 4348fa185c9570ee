"""A month's books by plain fractions: the rules of docs/money.md in words, and nothing of billing's code.

Dollars go in as fractions, nano-dollars come out where the rules round: a request once, a share down to whole
nano-dollars, a meter down to whole micro-dollars, an invoice's line half up to cents.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Final

NANO: Final = 10**9
CENT: Final = 10**7
OCTOBER: Final = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
NOVEMBER: Final = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
CHANGE: Final = dt.datetime(2026, 10, 16, tzinfo=dt.UTC)
LONG: Final = 200_000
ROYALTY: Final = Fraction(10, 100)
SHARE: Final = Fraction(95, 100)
FEE_OF_OWN_KEYS: Final = Fraction(5, 100)

# Dollars a million tokens until the 16th, and from then on. At night is 16:30 to 00:30 UTC, long is a prompt of more
# than 200,000 tokens; of several prices that hold, the later one here counts.
ALWAYS, NIGHT, IS_LONG, LONG_NIGHT = "always", "at night", "long", "long at night"
BEFORE: Final = {
    ALWAYS: {
        "prompt": "0.371",
        "cached_read": "0.0925",
        "cached_write": "0.4637",
        "completion": "1.13",
        "reasoning": "1.71",
    },
    NIGHT: {"completion": "0.5653"},
    IS_LONG: {"prompt": "0.7427", "completion": "1.6951"},
    LONG_NIGHT: {"completion": "0.9"},
}
AFTER: Final = {
    ALWAYS: {
        "prompt": "0.29",
        "cached_read": "0.0725",
        "cached_write": "0.3629",
        "completion": "1.493",
        "reasoning": "1.49",
    },
    NIGHT: {"completion": "0.7003"},
    IS_LONG: {"prompt": "0.5801", "completion": "2.2001"},
    LONG_NIGHT: {"completion": "1.1"},
}
# Dollars a second of hardware, until the 16th and from then on.
SECONDS: Final = {"cpu": ("0.0001", "0.0001"), "gpu-t4": ("0.000225", "0.000231")}


def half_up(dollars: Fraction) -> int:
    """Dollars as nano-dollars."""
    return floor(dollars * NANO + Fraction(1, 2))


def situation(now: dt.datetime, prompt_tokens: int) -> str:
    """Which prices hold, in words."""
    at_night = (now.hour, now.minute) >= (16, 30) or (now.hour, now.minute) < (0, 30)
    if prompt_tokens > LONG:
        return LONG_NIGHT if at_night else IS_LONG
    return NIGHT if at_night else ALWAYS


def token_dollars(now: dt.datetime, prompt_tokens: int, *, own_key: bool) -> dict[str, Fraction]:
    """Unit -> dollars for one; with the account's own key the fee, in whole nano-dollars a million tokens."""
    table = AFTER if now >= CHANGE else BEFORE
    there = situation(now, prompt_tokens)
    texts = dict(table[ALWAYS])
    if there in {NIGHT, LONG_NIGHT}:
        texts |= table[NIGHT]
    if there in {IS_LONG, LONG_NIGHT}:
        texts |= table[IS_LONG]
    if there == LONG_NIGHT:
        texts |= table[LONG_NIGHT]
    million = {unit: Fraction(text) for unit, text in texts.items()}
    if own_key:
        million = {unit: Fraction(floor(each * FEE_OF_OWN_KEYS * NANO), NANO) for unit, each in million.items()}
    return {unit: each / 10**6 for unit, each in million.items()}


class House:
    """What everybody but the customers has: nano-dollars by kind of account."""

    def __init__(self) -> None:
        self.has: dict[str, int] = defaultdict(int)

    def pay_out(self, *, reserve: Fraction) -> int:
        """The provider's whole cents, but a part of all that it ever earned; returns them."""
        owed = self.has["provider_payable"]
        cents = floor(Fraction(owed - ceil(owed * reserve), CENT))
        self.has["provider_payable"] -= cents * CENT
        self.has["stripe_clearing"] += cents * CENT
        return cents

    def take_back(self, cents: int) -> None:
        """A part of a transfer that was reversed."""
        self.has["provider_payable"] += cents * CENT
        self.has["stripe_clearing"] -= cents * CENT

    def settle(self, earned: int, cents: int) -> None:
        """An invoice for what the publisher earned, paid by bank."""
        self.has["publisher_payable"] -= earned
        self.has["bank"] += cents * CENT
        self.has["settlement_loss"] += earned - cents * CENT


class Book:
    """One customer: the wallet, the lines of its statement, and what its meters are to count."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.balance = 0
        self.gift = 0  # what is left of the promotional credit, until its end
        self.gift_ends = OCTOBER
        self.requests = 0
        self.shared = 0  # spent on capacity that all share
        self.movements: dict[str, int] = defaultdict(int)
        self.used: dict[tuple[str, str, str, Fraction], int] = defaultdict(int)
        self.charged: dict[tuple[str, str], int] = defaultdict(int)
        self.corrected: dict[str, int] = defaultdict(int)
        self.families: dict[str, int] = defaultdict(int)
        self.quantities: dict[str, int] = defaultdict(int)
        self.situations: set[tuple[str, bool, bool]] = set()

    # -- what is used

    def chat(self, now: dt.datetime, counts: Mapping[str, int], *, own_key: bool) -> int:
        """Tokens by unit, each counted in one unit only."""
        sent = counts["prompt"] + counts["cached_read"] + counts["cached_write"]
        cost = self._use(now, "chat", "acme/one", token_dollars(now, sent, own_key=own_key), counts)
        self.families["text"] += cost
        self.quantities["tokens_in"] += sent
        self.quantities["tokens_out"] += counts["completion"] + counts["reasoning"]
        self.quantities["tokens_cached"] += counts["cached_read"]
        self.situations.add((situation(now, sent), now >= CHANGE, own_key))
        if not own_key:
            self.shared += cost
        self._share(cost, "provider_payable", Fraction(0) if own_key else SHARE)
        return cost

    def run(self, now: dt.datetime, sku: str, ms: int) -> int:
        """So many milliseconds of a hosted model."""
        each = Fraction(SECONDS[sku][now >= CHANGE]) / 1000
        cost = self._use(now, "prediction", "acme/faces", {"hardware_ms": each}, {"hardware_ms": ms})
        self.families[_family(sku)] += cost
        self.quantities["gpu_ms"] += ms
        self._share(cost, "publisher_payable", ROYALTY)
        return cost

    def correct(self, then: dt.datetime, sku: str, ms: int, truth_ms: int) -> None:
        """A run turns out to have been shorter: the difference is given back at the price of its day."""
        each = Fraction(SECONDS[sku][then >= CHANGE]) / 1000
        before, after = half_up(each * ms), half_up(each * truth_ms)
        self.corrected["acme/faces"] += after - before
        self.balance -= after - before
        self.families[_family(sku)] += after - before
        self.quantities["gpu_ms"] += truth_ms - ms
        royalty = floor(after * ROYALTY) - floor(before * ROYALTY)
        self.house.has["publisher_payable"] += royalty
        self.house.has["platform_revenue"] += after - before - royalty

    def _use(
        self, now: dt.datetime, kind: str, model: str, each: Mapping[str, Fraction], counts: Mapping[str, int]
    ) -> int:
        cost = half_up(sum((each[unit] * count for unit, count in counts.items()), Fraction(0)))
        for unit, count in counts.items():
            if count:
                self.used[kind, model, unit, each[unit]] += count
        self.charged[kind, model] += cost
        self.requests += 1
        self.balance -= cost
        if now < self.gift_ends:
            self.gift -= min(self.gift, cost)
        return cost

    def _share(self, cost: int, party: str, share: Fraction) -> None:
        part = floor(cost * share)
        self.house.has[party] += part
        self.house.has["platform_revenue"] += cost - part

    # -- what comes in and goes out

    def pay(self, cents: int) -> None:
        """A top-up: 5.5 % fee, at least 80 cents; Stripe takes its own of all of it."""
        fee = _fee(cents)
        theirs = _theirs(cents + fee)
        self._move("topup", cents)
        self.house.has["fees"] += (fee - theirs) * CENT
        self.house.has["stripe_clearing"] -= (cents + fee - theirs) * CENT

    def refund(self, cents: int) -> None:
        """Unused credit goes back to the card."""
        self._move("refund", -cents)
        self.house.has["stripe_clearing"] += cents * CENT

    def dispute(self, cents: int) -> None:
        """All of a payment with its fee, and $15 for the trouble."""
        fee = _fee(cents)
        self._move("dispute", -cents)
        self.house.has["fees"] -= (fee + 1500) * CENT
        self.house.has["stripe_clearing"] += (cents + fee + 1500) * CENT

    def grant(self, cents: int, ends: dt.datetime) -> None:
        """Promotional credit, which is used first; after its end nothing is taken from it."""
        self._move("grant", cents)
        self.gift += cents * CENT
        self.gift_ends = ends
        self.house.has["promotional_expense"] -= cents * CENT

    def expire(self) -> None:
        """What is left of it ends."""
        self.balance -= self.gift
        self.movements["grant_expired"] -= self.gift
        self.house.has["promotional_expense"] += self.gift
        self.gift = 0

    def _move(self, kind: str, cents: int) -> None:
        self.balance += cents * CENT
        self.movements[kind] += cents * CENT

    # -- what is invoiced

    def meters(self) -> dict[str, int]:
        """Whole micro-dollars of each family, and the quantities."""
        return {**{name: total // 1000 for name, total in self.families.items()}, **self.quantities}

    def asked(self) -> tuple[int, int]:
        """An invoice: the micro-dollars that it counts as nano-dollars, and its cents, each line rounded half up."""
        micro = [total // 1000 for total in self.families.values()]
        return sum(micro) * 1000, sum(floor(Fraction(one, 10_000) + Fraction(1, 2)) for one in micro)

    def pay_invoice(self) -> None:
        """Its payment fills the wallet by what it counts; the cents beside that are the house's loss or gain."""
        nano, cents = self.asked()
        fee = _theirs(cents)
        self.balance += nano
        self.house.has["stripe_clearing"] -= (cents - fee) * CENT
        self.house.has["fees"] -= fee * CENT
        self.house.has["settlement_loss"] += cents * CENT - nano


def _fee(cents: int) -> int:
    return max(ceil(cents * Fraction(55, 1000)), 80)


def _theirs(cents: int) -> int:
    """What Stripe takes of a payment: 2.9 % and 30 cents."""
    return floor(cents * Fraction(29, 1000)) + 30


def _family(sku: str) -> str:
    return f"hardware_{sku.replace('-', '_')}"
