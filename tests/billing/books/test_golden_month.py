"""A month by script: every balance and every line of the statement is what plain fractions say.

The reference below knows dollars, fractions and the rules of docs/money.md, and nothing of billing's code: it
computes with `Fraction`, rounds where the rules round, and is compared with the books, the statement, the hours
and what the fake Stripe holds.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor
from typing import Any

import pytest

from billing import invariants
from billing.models import LedgerAccount, Recipient, UsageHour
from billing.rating import Part, rate
from billing.services import (
    balances,
    credits,
    earnings,
    holds,
    ledger,
    margin,
    months,
    payables,
    payouts,
    refunds,
    rollups,
)
from marketplace.models import Account, Endpoint
from marketplace.services import prices
from routing.canonical import Usage
from routing.selection.candidates import Candidate, quantities
from tests.billing.conftest import Post, begin
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe

NANO = 10**9
OCTOBER = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
NOVEMBER = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

# Dollars a million tokens, before and from the 16th; dollars a second of hardware.
BEFORE = {"prompt": "0.37", "cached_read": "0.0925", "completion": "1.13", "reasoning": "1.71"}
AFTER = {"prompt": "0.29", "cached_read": "0.0725", "completion": "1.49", "reasoning": "1.49"}
SECOND = "0.000725"
CHANGE = dt.datetime(2026, 10, 16, tzinfo=dt.UTC)
ROYALTY_BPS, BYOK_BPS = 1_000, 500


def half_up(dollars: Fraction) -> int:
    """Dollars as nano-dollars."""
    return floor(dollars * NANO + Fraction(1, 2))


class Reference:
    """The books by fractions: dollars in, nano-dollars where the rules round."""

    def __init__(self) -> None:
        self.balance = 0
        self.house: dict[str, int] = defaultdict(int)
        self.movements: dict[str, int] = defaultdict(int)
        self.used: dict[tuple[str, str, str, Fraction], int] = defaultdict(int)
        self.charged: dict[tuple[str, str], int] = defaultdict(int)
        self.requests = 0
        self.gift = 0  # what is left of the promotional credit

    def request(
        self, kind: str, model: str, each: dict[str, Fraction], counts: dict[str, int], shares: dict[str, int]
    ) -> int:
        """Used at these dollars for one of each unit; `shares` in basis points, the rest is the platform's."""
        cost = half_up(sum((each[unit] * count for unit, count in counts.items()), Fraction(0)))
        for unit, count in counts.items():
            if count:
                self.used[kind, model, unit, each[unit]] += count
        self.charged[kind, model] += cost
        self.requests += 1
        self.balance -= cost
        self.gift -= min(self.gift, cost)
        rest = cost
        for party, bps in shares.items():
            part = floor(Fraction(cost * bps, 10_000))
            self.house[party] += part
            rest -= part
        self.house["platform_revenue"] += rest
        return cost

    def pay(self, cents: int) -> None:
        """A top-up: 5.5 % fee, at least 80 cents; Stripe takes 2.9 % and 30 cents of all of it."""
        fee = max(-floor(-Fraction(cents * 55, 1000)), 80)
        theirs = floor(Fraction((cents + fee) * 29, 1000)) + 30
        self._move("topup", cents)
        self.house["fees"] += (fee - theirs) * 10**7
        self.house["stripe_clearing"] -= (cents + fee - theirs) * 10**7

    def refund(self, cents: int) -> None:
        self._move("refund", -cents)
        self.house["stripe_clearing"] += cents * 10**7

    def dispute(self, cents: int) -> None:
        """All of a payment with its fee, and $15 for the trouble."""
        fee = max(-floor(-Fraction(cents * 55, 1000)), 80)
        self._move("dispute", -cents)
        self.house["fees"] -= (fee + 1500) * 10**7
        self.house["stripe_clearing"] += (cents + fee + 1500) * 10**7

    def grant(self, cents: int) -> None:
        self._move("grant", cents)
        self.gift += cents * 10**7
        self.house["promotional_expense"] -= cents * 10**7

    def expire(self) -> None:
        self.balance -= self.gift
        self.movements["grant_expired"] -= self.gift
        self.house["promotional_expense"] += self.gift
        self.gift = 0

    def pay_out(self, *, reserve: Fraction) -> int:
        """The provider's whole cents, but a part of all that it ever earned; returns them."""
        owed = self.house["provider_payable"]
        cents = floor(Fraction(owed - -floor(-owed * reserve), 10**7))
        self.house["provider_payable"] -= cents * 10**7
        self.house["stripe_clearing"] += cents * 10**7
        return cents

    def take_back(self, cents: int) -> None:
        """A part of a transfer that was reversed."""
        self.house["provider_payable"] += cents * 10**7
        self.house["stripe_clearing"] -= cents * 10**7

    def settle(self, earned: int, cents: int) -> None:
        """An invoice for what the publisher earned, paid by bank."""
        self.house["publisher_payable"] -= earned
        self.house["bank"] += cents * 10**7
        self.house["settlement_loss"] += earned - cents * 10**7

    def _move(self, kind: str, cents: int) -> None:
        self.balance += cents * 10**7
        self.movements[kind] += cents * 10**7


class Month:
    """The same month, through the services: `at` sets the clock, the rest is what customers do."""

    def __init__(self, clock: Callable[[dt.datetime], None], stripe: FakeStripe, post: Post, account: Account) -> None:
        self.at = clock
        self.stripe = stripe
        self.post = post
        self.account = account
        self.provider = make.account(email="operator@example.com")
        self.publisher = make.account(email="publisher@example.com")
        self.endpoint: Endpoint = make.EndpointFactory.create(prices=nano(BEFORE))
        self.reference = Reference()
        self.number = 0

    def chat(self, usage: Usage, *, now: dt.datetime, cut: bool = False, own_key: bool = False) -> int:
        """A routed request; `cut` is a stream that broke after some output, `own_key` the account's own key."""
        table = prices.snapshot(endpoint_id=self.endpoint.pk)
        dollars = {unit: Fraction(text) / 10**6 for unit, text in (AFTER if now >= CHANGE else BEFORE).items()}
        parts = [Part("provider_payable", self.provider.pk, bps=9_500)]
        shares = {"provider_payable": 9_500}
        model = "acme/own" if own_key else "acme/one"
        if own_key:
            table = {unit: price * BYOK_BPS // 10_000 for unit, price in table.items()}
            dollars = {
                unit: Fraction(floor(each * BYOK_BPS * 10**15 / 10_000), 10**15) for unit, each in dollars.items()
            }
            parts, shares = [], {}
        rated = candidate(table).rated(usage)
        counts = {
            "prompt": usage.prompt_tokens - usage.cached_tokens,
            "cached_read": usage.cached_tokens,
            "completion": usage.completion_tokens - usage.reasoning_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        assert quantities(usage, table) == counts
        hold = self._hold("chat", rated.amount_nano * (3 if cut else 1))
        labels = {"model": model, "provider": "sim", "usage_source": "counted" if cut else "provider"}
        assert holds.settle(hold_id=hold, rated=rated, parts=parts, labels=labels)
        return self.reference.request("chat", model, dollars, counts, shares)

    def failed(self) -> None:
        """A request that no provider answered: held, then released."""
        holds.release(hold_id=self._hold("chat", NANO))

    def run(self, ms: int, *, canceled: bool = False) -> None:
        """A hosted run of so many milliseconds; a canceled one costs what it ran."""
        rated = rate({"hardware_ms": int(Fraction(SECOND) / 1000 * 10**15)}, {"hardware_ms": ms})
        hold = self._hold("prediction", rated.amount_nano + (NANO if canceled else 0))
        part = Part("publisher_payable", self.publisher.pk, bps=ROYALTY_BPS)
        assert holds.settle(hold_id=hold, rated=rated, parts=[part], labels={"model": "acme/faces"})
        each = {"hardware_ms": Fraction(SECOND) / 1000}
        shares = {"publisher_payable": ROYALTY_BPS}
        self.reference.request("prediction", "acme/faces", each, {"hardware_ms": ms}, shares)

    def pay(self, cents: int) -> str:
        topup = begin(self.account, cents)
        intent = self.stripe.world.pay(topup.session_id)
        self.stripe.deliver(self.post, copies=2)
        self.reference.pay(cents)
        return str(intent["id"])

    def connect(self, account: Account) -> None:
        """Stripe pays this account."""
        user = make.user("operator@example.com")
        payouts.onboard(account=account, user=user, country="us", return_url="/", refresh_url="/")
        recipient = Recipient.objects.get(account=account)
        self.stripe.world.onboard(recipient.recipient_id)
        payouts.refresh(recipient)

    def _hold(self, kind: str, amount: int) -> Any:
        self.number += 1
        return holds.place(
            account_id=self.account.pk,
            key_id=None,
            amount_nano=amount,
            kind=kind,
            reference=f"golden-{self.number}",
            expires_in=dt.timedelta(hours=1),
        ).pk


def nano(table: dict[str, str]) -> dict[str, int]:
    """Dollars a million units as the catalogue keeps them."""
    return {unit: int(Fraction(text) * NANO) for unit, text in table.items()}


def candidate(table: dict[str, int]) -> Candidate:
    """The endpoint as the router sees it."""
    return Candidate(1, "acme/one", "sim", "Sim", 10**6, None, frozenset(), frozenset(), frozenset(), "", table)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.datetime], None]:
    """Sets the time that the services read; it runs on by a millisecond with each look."""
    now = [OCTOBER]

    def read() -> dt.datetime:
        now[0] += dt.timedelta(milliseconds=1)
        return now[0]

    def put(moment: dt.datetime) -> None:
        now[0] = moment

    monkeypatch.setattr("django.utils.timezone.now", read)
    return put


def usages(seed: int, count: int) -> Iterator[Usage]:
    """Token counts of all sizes, many of which leave a part of a nano-dollar to round."""
    source = random.Random(seed)
    for _ in range(count):
        prompt, completion = source.randrange(1, 60_000), source.randrange(1, 9_000)
        yield Usage(prompt, completion, source.randrange(prompt), 0, source.randrange(completion))


@pytest.mark.django_db
def test_the_month_is_what_fractions_say(
    clock: Callable[[dt.datetime], None], stripe: FakeStripe, post: Post, alice: Account, settings: Any
) -> None:
    clock(OCTOBER - dt.timedelta(days=9))
    month = Month(clock, stripe, post, alice)
    reference = month.reference

    # September, of which October knows the balance only.
    month.pay(3_000)
    for usage in usages(9, 5):
        month.chat(usage, now=OCTOBER - dt.timedelta(days=8))
    opening = reference.balance
    shares_before = dict(reference.house)
    september = dict(reference.charged)
    reference.movements.clear()
    reference.used.clear()
    reference.charged.clear()

    clock(OCTOBER)  # to the second
    month.chat(Usage(10, 10, 0, 0, 0), now=OCTOBER)
    clock(OCTOBER + dt.timedelta(days=1))
    disputed = month.pay(4_000)
    credits.grant(
        account_id=alice.pk, amount_nano=2 * NANO, reference="welcome", expires_at=OCTOBER + dt.timedelta(days=12)
    )
    reference.grant(200)
    now = OCTOBER + dt.timedelta(days=2)
    for number, usage in enumerate(usages(1, 24)):
        clock(now + dt.timedelta(hours=number))
        month.chat(usage, now=now, cut=number % 6 == 5, own_key=number % 8 == 7)
        month.run(number * 1_117 + 1, canceled=number % 5 == 4)
        if number % 7 == 6:
            month.failed()
    clock(OCTOBER + dt.timedelta(days=12, minutes=1))
    assert 0 < reference.gift < 2 * NANO  # some of it was used, some of it ends
    assert credits.expire() == 1
    reference.expire()

    clock(CHANGE)
    prices.set_prices(endpoint=month.endpoint, prices=nano(AFTER))
    for number, usage in enumerate(usages(2, 24)):
        clock(CHANGE + dt.timedelta(hours=number + 1))
        month.chat(usage, now=CHANGE, cut=number % 6 == 5, own_key=number % 8 == 7)
        month.run(number * 971 + 3, canceled=number % 5 == 4)

    clock(OCTOBER + dt.timedelta(days=20))
    month.pay(2_500)
    topup = alice.topups.latest("created_at")
    assert refunds.ask(topup=topup, amount_cents=1_234).state == "succeeded"
    reference.refund(1_234)
    stripe.world.dispute(disputed)
    stripe.deliver(post, copies=2)
    reference.dispute(4_000)
    clock(NOVEMBER - dt.timedelta(milliseconds=500))
    ledger.thaw(account_id=alice.pk)
    month.run(60_000)
    closing = reference.balance
    shares_after = dict(reference.house)
    in_october = dict(reference.charged)

    clock(NOVEMBER)  # what comes after is another month's
    before = dict(reference.used)
    month.run(5_000)

    # The statement, line by line.
    found = months.statement(account=alice, year=2026, month=10)
    assert (found.opening_nano, found.closing_nano, found.is_over) == (opening, closing, True)
    assert {one.kind: one.amount_nano for one in found.movements} == dict(reference.movements)
    assert {(item.kind, item.model): item.amount_nano for item in found.items} == in_october
    lines = {
        (item.kind, item.model, line.unit, Fraction(line.nano_per_million, 10**15)): (line.quantity, line.amount_nano)
        for item in found.items
        for line in item.lines
    }
    assert lines == {name: (count, half_up(name[3] * count)) for name, count in before.items()}
    assert found.charged_nano == sum(in_october.values())
    assert opening + sum(reference.movements.values()) - found.charged_nano == closing
    assert [one.first.month for one in months.listed(account_id=alice.pk)] == [11, 10, 9]
    assert [one.closing_nano for one in months.listed(account_id=alice.pk)] == [reference.balance, closing, opening]

    # Every balance.
    agree(month)

    # Of each dollar through shared capacity the provider has 95 cents, but for parts of nano-dollars a request.
    shared = september["chat", "acme/one"] + in_october["chat", "acme/one"]
    assert 0 <= Fraction(shared * 95, 100) - reference.house["provider_payable"] < reference.requests

    # The hours that pages read.
    clock(NOVEMBER + dt.timedelta(hours=2))
    while rollups.close():
        pass
    assert sum(UsageHour.objects.values_list("amount_nano", flat=True)) == sum(reference.charged.values()) + sum(
        september.values()
    )

    # What the platform kept of it, and what the others earned.
    october = {kind: shares_after[kind] - shares_before.get(kind, 0) for kind in shares_after}
    kept = margin.month(year=2026, month=10)
    assert kept.use.paid_nano == sum(in_october.values())
    assert kept.use.providers_nano == october["provider_payable"]
    assert kept.use.publishers_nano == october["publisher_payable"]
    assert kept.use.platform_nano == october["platform_revenue"]
    assert kept.margin_nano == sum(october[kind] for kind in ("platform_revenue", "promotional_expense", "fees"))
    earned = earnings.settlement(account_id=month.provider.pk, year=2026, month=10)
    assert (earned.earned_nano, earned.closing_nano) == (
        october["provider_payable"],
        shares_after["provider_payable"],
    )

    # The provider is paid by transfer, all but what disputes may take; the publisher against its invoice for October.
    clock(NOVEMBER + dt.timedelta(days=19))
    settings.PAYOUT_MIN_CENTS = 10
    month.connect(month.provider)
    (payout,) = payouts.pay_due()
    sent = reference.pay_out(reserve=Fraction(5, 100))
    assert (payout.state, payout.amount_cents) == ("paid", sent)
    assert [one["amount"] for one in stripe.world.transfers()] == [sent]
    invoice = floor(Fraction(october["publisher_payable"], 10**7) + Fraction(1, 2)) + 3
    due = payables.find(slug=month.publisher.slug, side="publisher_payable", provider="", year=2026, month=10)
    payables.record(
        payable=due, invoice="2026-10", invoice_cents=invoice, paid_on=NOVEMBER.date(), accept_difference=True,
        recorded_by=make.user("staff@example.com"),
    )  # fmt: skip
    reference.settle(october["publisher_payable"], invoice)
    agree(month)
    stripe.world.reverse(payout.transfer_id or "", 7)
    stripe.deliver(post, copies=2)
    reference.take_back(7)
    agree(month)
    assert invariants.run() == []


def agree(month: Month) -> None:
    """Every balance is the reference's, and Stripe's."""
    assert ledger.wallet_of(month.account.pk).balance_nano == month.reference.balance
    owners = {"provider_payable": month.provider.pk, "publisher_payable": month.publisher.pk}
    for kind in LedgerAccount.Kind.values:
        if kind != LedgerAccount.Kind.WALLET:
            assert balances.of(kind=kind, owner_id=owners.get(kind)) == month.reference.house[kind], kind
    assert -month.reference.house["stripe_clearing"] == month.stripe.world.balance_cents() * 10**7


@pytest.mark.django_db
def test_of_one_dollar_the_provider_has_ninety_five_cents(alice: Account) -> None:
    credits.grant(account_id=alice.pk, amount_nano=NANO, reference="dollar")
    provider = make.account(email="operator@example.com")
    hold = holds.place(
        account_id=alice.pk, key_id=None, amount_nano=NANO, kind="chat", reference="dollar",
        expires_in=dt.timedelta(hours=1),
    )  # fmt: skip
    rated = rate({"prompt": NANO}, {"prompt": 10**6})
    assert holds.settle(hold_id=hold.pk, rated=rated, parts=[Part("provider_payable", provider.pk, bps=9_500)])
    assert ledger.wallet_of(alice.pk).balance_nano == 0
    assert balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=provider.pk) == 95 * NANO // 100
    assert balances.of(kind=LedgerAccount.Kind.PLATFORM_REVENUE) == 5 * NANO // 100
