"""A month by script: every balance, statement line, meter, invoice and payout is what plain fractions say.

A prepaid and a metered customer share one catalogue, whose prices depend on the prompt's length and the time of day
and change in the middle: tokens, seconds of hardware, cut streams, canceled runs, own keys, corrections, a gift that
ends, a refund, a dispute, an invoice, a payout. What it must come to is in `reference`, which knows nothing of
billing's code.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from fractions import Fraction
from itertools import product
from math import floor
from typing import Any

import pytest

from billing import invariants
from billing.models import Invoice, LedgerAccount, MeterRow, UsageHour
from billing.rating import Part, rate
from billing.services import (
    balances,
    credits,
    earnings,
    holds,
    ledger,
    margin,
    metering,
    months,
    payables,
    payouts,
    rollups,
    walk,
)
from marketplace.models import Account
from tests.billing.books.month import Clock, Customer, Month, patched
from tests.billing.books.reference import (
    ALWAYS,
    CENT,
    CHANGE,
    IS_LONG,
    LONG_NIGHT,
    NANO,
    NIGHT,
    NOVEMBER,
    OCTOBER,
    half_up,
)
from tests.billing.books.script import Script
from tests.billing.conftest import Post
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe


@pytest.fixture
def month(monkeypatch: pytest.MonkeyPatch, stripe: FakeStripe, post: Post, db: None) -> Month:
    """Late in September."""
    clock = Clock(stripe)
    put = patched(monkeypatch, clock)
    put(OCTOBER - dt.timedelta(days=9))
    return Month(clock, stripe, post)


@pytest.mark.django_db
def test_the_month_is_what_fractions_say(month: Month, settings: Any) -> None:
    script = Script(month)
    prepaid, metered, house = month.prepaid, month.metered, month.house
    script.september()
    opening, before = prepaid.book.balance, dict(house.has)
    september = dict(prepaid.book.charged)
    for one in (prepaid.book.movements, prepaid.book.used, prepaid.book.charged):
        one.clear()

    month.clock.put(OCTOBER)
    subscription_id = month.subscribe()
    script.chat(prepaid, OCTOBER, 10)()  # to the second
    for number in range(31):
        if OCTOBER + dt.timedelta(days=number) == CHANGE:
            month.clock.put(CHANGE)
            month.change_prices()
        script.day(number)
    closing, after = prepaid.book.balance, dict(house.has)
    every_price_held(month)
    statements = Statements(month)
    month.run(prepaid, NOVEMBER, "gpu-t4", 5_000)  # another month's

    statements.agree(prepaid, opening, closing)
    statements.agree(metered, 0, metered.book.balance)
    listed = months.listed(account_id=prepaid.account.pk)
    assert [one.first.month for one in listed] == [11, 10, 9]
    assert [one.closing_nano for one in listed] == [prepaid.book.balance, closing, opening]
    agree(month)

    # Of each dollar through shared capacity the provider has 95 cents, but for parts of nano-dollars a request.
    shared, requests = (prepaid.book.shared + metered.book.shared, prepaid.book.requests + metered.book.requests)
    assert 0 <= Fraction(shared * 95, 100) - house.has["provider_payable"] < requests

    usage_is_counted(month, september)
    earned = {kind: after[kind] - before.get(kind, 0) for kind in after}
    platform_and_others_earned(month, statements.charged, earned, after["provider_payable"])
    invoice_is_paid(month, subscription_id)
    others_are_paid(month, earned["publisher_payable"], settings)
    assert invariants.run() == []


def every_price_held(month: Month) -> None:
    """Each, before and after the change; and each with a key of the account's own."""
    every = {ALWAYS, NIGHT, IS_LONG, LONG_NIGHT}
    seen = month.prepaid.book.situations | month.metered.book.situations
    assert seen >= set(product(every, (False, True), (False,)))
    assert {there for there, _, own_key in seen if own_key} == every


class Statements:
    """October's lines as the reference has them at its end."""

    def __init__(self, month: Month) -> None:
        self.used = {who.account.pk: dict(who.book.used) for who in (month.prepaid, month.metered)}
        self.sums = {who.account.pk: dict(who.book.charged) for who in (month.prepaid, month.metered)}
        given_back = sum(sum(who.book.corrected.values()) for who in (month.prepaid, month.metered))
        self.charged = sum(sum(one.values()) for one in self.sums.values()) + given_back

    def agree(self, who: Customer, opening: int, closing: int) -> None:
        """A customer's statement, line by line, each price that held a line of its own."""
        book, pk = who.book, who.account.pk
        found = months.statement(account=who.account, year=2026, month=10)
        assert {one.kind: one.amount_nano for one in found.movements} == dict(book.movements)
        assert {(item.kind, item.model): item.amount_nano for item in found.items} == self.sums[pk]
        assert {item.model: item.amount_nano for item in found.corrections} == dict(book.corrected)
        lines = {
            (item.kind, item.model, line.unit, Fraction(line.nano_per_million, 10**15)): (
                line.quantity,
                line.amount_nano,
            )
            for item in found.items
            for line in item.lines
        }
        assert lines == {name: (count, half_up(name[3] * count)) for name, count in self.used[pk].items()}
        assert found.charged_nano == sum(self.sums[pk].values()) + sum(book.corrected.values())
        assert opening + sum(book.movements.values()) - found.charged_nano == closing
        assert (found.opening_nano, found.closing_nano, found.is_over) == (opening, closing, True)


def agree(month: Month) -> None:
    """Every balance is the reference's, and Stripe's."""
    for who in (month.prepaid, month.metered):
        assert ledger.wallet_of(who.account.pk).balance_nano == who.book.balance
    owners = {"provider_payable": month.provider.pk, "publisher_payable": month.publisher.pk}
    for kind in LedgerAccount.Kind.values:
        if kind != LedgerAccount.Kind.WALLET:
            assert balances.of(kind=kind, owner_id=owners.get(kind)) == month.house.has[kind], kind
    assert -month.house.has["stripe_clearing"] == month.stripe.world.balance_cents() * CENT


def usage_is_counted(month: Month, september: dict[tuple[str, str], int]) -> None:
    """The hours that pages read, and what Stripe's meters were given to count."""
    month.clock.put(NOVEMBER + dt.timedelta(minutes=20))
    while rollups.close():
        pass
    metering.export()
    month.clock.put(NOVEMBER + dt.timedelta(hours=2))
    while rollups.close():
        pass
    books = [month.prepaid.book, month.metered.book]
    charged = sum(sum(book.charged.values()) + sum(book.corrected.values()) for book in books)
    assert sum(UsageHour.objects.values_list("amount_nano", flat=True)) == charged + sum(september.values())
    found: dict[str, int] = defaultdict(int)
    for one in month.stripe.world._counted:
        found[one["event_name"].removeprefix("turnpike_")] += int(one["payload"]["value"])
    assert dict(found) == month.metered.book.meters()
    assert not MeterRow.objects.filter(state__in=["waiting", "refused"]).exists()
    assert metering.differences() == []


def platform_and_others_earned(month: Month, charged: int, earned: dict[str, int], owed: int) -> None:
    """October in the books of the platform and of the provider."""
    kept = margin.month(year=2026, month=10)
    assert kept.use.paid_nano == charged
    assert kept.use.providers_nano == earned["provider_payable"]
    assert kept.use.publishers_nano == earned["publisher_payable"]
    assert kept.use.platform_nano == earned["platform_revenue"]
    assert kept.margin_nano == sum(earned[kind] for kind in ("platform_revenue", "promotional_expense", "fees"))
    settled = earnings.settlement(account_id=month.provider.pk, year=2026, month=10)
    assert (settled.earned_nano, settled.closing_nano) == (earned["provider_payable"], owed)


def invoice_is_paid(month: Month, subscription_id: str) -> None:
    """Stripe asks for what its meters counted; what is below a micro-dollar in each family is carried over."""
    month.stripe.world.pay_invoice(month.stripe.world.end_period(subscription_id))
    month.stripe.deliver(month.post, copies=2, shuffled=random.Random(1))
    row, (nano, cents) = Invoice.objects.get(), month.metered.book.asked()
    assert (row.state, row.problem, row.amount_cents, row.usage_nano) == ("paid", "", cents, nano)
    month.metered.book.pay_invoice()
    assert walk.walk().fees == 1  # Stripe's on the invoice; those on top-ups were booked with them
    assert -1_000 * len(month.metered.book.families) < month.metered.book.balance <= 0
    agree(month)


def others_are_paid(month: Month, earned: int, settings: Any) -> None:
    """The provider by transfer, all but what disputes may take; the publisher against its invoice for October."""
    month.clock.put(NOVEMBER + dt.timedelta(days=19))
    settings.PAYOUT_MIN_CENTS = 10
    month.connect()
    (payout,) = payouts.pay_due()
    sent = month.house.pay_out(reserve=Fraction(5, 100))
    assert (payout.state, payout.amount_cents) == ("paid", sent)
    assert [one["amount"] for one in month.stripe.world.transfers()] == [sent]
    invoice = floor(Fraction(earned, CENT) + Fraction(1, 2)) + 3
    due = payables.find(slug=month.publisher.slug, side="publisher_payable", provider="", year=2026, month=10)
    payables.record(
        payable=due, invoice="2026-10", invoice_cents=invoice, paid_on=NOVEMBER.date(), accept_difference=True,
        recorded_by=make.user("staff@example.com"),
    )  # fmt: skip
    month.house.settle(earned, invoice)
    agree(month)
    month.stripe.world.reverse(payout.transfer_id or "", 7)
    month.stripe.deliver(month.post, copies=2)
    month.house.take_back(7)
    agree(month)


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
