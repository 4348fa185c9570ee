"""A post-paid month by script: charges, meters, invoice and what is left are what plain fractions say.

Prices depend on the prompt's length and the time of day, and change in the middle. The reference below knows the
rules as docs/money.md has them and nothing of billing's code.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any, Final

import pytest

from billing import invariants
from billing.models import Invoice, LedgerAccount, MeterRow, Subscription
from billing.rating import Rated, rate
from billing.services import balances, holds, ledger, metered, metering, months, rollups, subscriptions
from marketplace.models import Account, Endpoint
from marketplace.services import prices
from routing.canonical import Usage
from tests.billing.books.test_golden_month import NANO, candidate, half_up, nano
from tests.billing.conftest import Post
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe

MARCH: Final = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
APRIL: Final = dt.datetime(2027, 4, 1, tzinfo=dt.UTC)
CHANGE: Final = MARCH + dt.timedelta(days=15)
LONG: Final = 200_000
# Dollars a million tokens: by day, at night (16:30 to 00:30 UTC), and above 200,000 prompt tokens at any time.
BEFORE: Final = {
    "prompt": "1.251", "completion": "10.007", "completion@1630-0030": "5.0003",
    "prompt>200000": "2.5003", "completion>200000": "15.001",
}  # fmt: skip
AFTER: Final = {**BEFORE, "prompt": "1.1", "completion@1630-0030": "4.9", "prompt>200000": "2.7003"}
SECOND: Final = {"cpu": Fraction(1, 10_000), "gpu-t4": Fraction(225, 1_000_000)}


def dollars_for(usage: Usage, now: dt.datetime) -> dict[str, Fraction]:
    """Unit -> dollars for one, by the rules in words."""
    table = {key: Fraction(text) / 10**6 for key, text in (AFTER if now >= CHANGE else BEFORE).items()}
    if usage.prompt_tokens > LONG:
        return {"prompt": table["prompt>200000"], "completion": table["completion>200000"]}
    at_night = (now.hour, now.minute) >= (16, 30) or (now.hour, now.minute) < (0, 30)
    return {"prompt": table["prompt"], "completion": table["completion@1630-0030" if at_night else "completion"]}


class Reference:
    """What is owed, by family and by quantity."""

    def __init__(self) -> None:
        self.families: dict[str, int] = defaultdict(int)
        self.quantities: dict[str, int] = defaultdict(int)
        self.lines: dict[tuple[str, str, Fraction], int] = defaultdict(int)

    def use(self, family: str, model: str, each: dict[str, Fraction], counts: dict[str, int]) -> int:
        cost = half_up(sum((each[unit] * count for unit, count in counts.items()), Fraction(0)))
        self.families[family] += cost
        for unit, count in counts.items():
            self.lines[model, unit, each[unit]] += count
        return cost

    @property
    def owed(self) -> int:
        return sum(self.families.values())

    def meters(self) -> dict[str, int]:
        """Whole micro-dollars of each family, and the quantities."""
        return {**{name: total // 1000 for name, total in self.families.items()}, **self.quantities}

    def cents(self) -> int:
        """The invoice: each family's micro-dollars in cents, rounded half up."""
        return sum(floor(Fraction(total // 1000, 10_000) + Fraction(1, 2)) for total in self.families.values())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, stripe: FakeStripe) -> Callable[[dt.datetime], None]:
    """Sets the time for us and for Stripe."""
    now = [MARCH]
    monkeypatch.setattr("django.utils.timezone.now", lambda: now[0])

    def put(moment: dt.datetime) -> None:
        now[0] = moment
        stripe.world.ahead = int(moment.timestamp() - time.time())

    return put


@pytest.mark.django_db
def test_the_invoice_is_what_fractions_say(
    clock: Callable[[dt.datetime], None], stripe: FakeStripe, post: Post, alice: Account
) -> None:
    source, reference, number = random.Random(3), Reference(), 0

    def settle(rated: Rated, **labels: Any) -> None:
        nonlocal number
        number += 1
        kind = "prediction" if "hardware" in labels else "chat"
        hold = holds.place(
            account_id=alice.pk, key_id=None, amount_nano=rated.amount_nano, kind=kind,
            reference=f"march-{number}", expires_in=dt.timedelta(hours=1),
        )  # fmt: skip
        assert holds.settle(hold_id=hold.pk, rated=rated, labels=labels) is not None

    def chat(now: dt.datetime, usage: Usage) -> None:
        table = prices.snapshot(endpoint_id=endpoint.pk, at=now)
        one = candidate(table)
        rated = one.rated(usage, minute=now.hour * 60 + now.minute)
        assert rated.amount_nano <= one.bound(input_tokens=usage.prompt_tokens, max_tokens=usage.completion_tokens)
        settle(rated, model="acme/one")
        counts = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
        assert reference.use("text", "acme/one", dollars_for(usage, now), counts) == rated.amount_nano
        reference.quantities["tokens_in"] += usage.prompt_tokens
        reference.quantities["tokens_out"] += usage.completion_tokens

    def run(sku: str, ms: int) -> None:
        each = SECOND[sku] / 1000
        settle(rate({"hardware_ms": int(each * 10**15)}, {"hardware_ms": ms}), model="acme/faces", hardware=sku)
        reference.use(f"hardware_{sku.replace('-', '_')}", "acme/faces", {"hardware_ms": each}, {"hardware_ms": ms})
        reference.quantities["gpu_ms"] += ms

    clock(MARCH)
    for position, sku in enumerate(SECOND):
        make.HardwareFactory.create(sku=sku, position=position)
    endpoint: Endpoint = make.EndpointFactory.create(prices=nano(BEFORE))
    metered.decide(account=alice, credit_limit_nano=1_000 * NANO, reason="A known customer.", decided_by=None)
    subscriptions.sync()
    subscription_id = Subscription.objects.get().subscription_id
    for day in range(31):
        if day == 15:
            clock(CHANGE)
            prices.set_prices(endpoint=endpoint, prices=nano(AFTER))
        for hour, minute in ((0, 29), (0, 30), (12, source.randrange(60)), (16, 29), (16, 30)):
            now = MARCH + dt.timedelta(days=day, hours=hour, minutes=minute)
            clock(now)
            prompt = source.choice([source.randrange(1, 4_000), LONG, LONG + 1, source.randrange(LONG, 10**6)])
            chat(now, Usage(prompt, source.randrange(1, 3_000)))
        run(source.choice(list(SECOND)), source.randrange(1, 100_000))
        clock(MARCH + dt.timedelta(days=day + 1, minutes=10))
        rollups.close()
        stripe.fail(*["500-after"] * (day % 3))
        metering.export()
    clock(APRIL + dt.timedelta(minutes=20))
    metering.export()

    # What Stripe has counted, and our books with it.
    found: dict[str, int] = defaultdict(int)
    for one in stripe.world._counted:
        found[one["event_name"].removeprefix("turnpike_")] += int(one["payload"]["value"])
    assert dict(found) == reference.meters()
    assert not MeterRow.objects.filter(state__in=["waiting", "refused"]).exists()
    clock(APRIL + dt.timedelta(hours=2))
    assert metering.differences() == []
    assert ledger.wallet_of(alice.pk).balance_nano == -reference.owed

    # The statement, line by line, each price that held a line of its own.
    statement = months.statement(account=alice, year=2027, month=3)
    lines = {
        (item.model, line.unit, Fraction(line.nano_per_million, 10**15)): line.quantity
        for item in statement.items
        for line in item.lines
    }
    assert lines == dict(reference.lines)
    assert (statement.charged_nano, statement.closing_nano) == (reference.owed, -reference.owed)

    # The invoice, and what its payment leaves: less than a micro-dollar in each family, carried over.
    invoice_id = stripe.world.end_period(subscription_id)
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post, copies=2, shuffled=random.Random(1))
    row = Invoice.objects.get()
    asked = sum(total // 1000 * 1000 for total in reference.families.values())
    assert (row.state, row.problem, row.amount_cents, row.usage_nano) == ("paid", "", reference.cents(), asked)
    assert ledger.wallet_of(alice.pk).balance_nano == asked - reference.owed
    assert balances.of(kind=LedgerAccount.Kind.STRIPE_CLEARING) == -reference.cents() * 10**7
    assert balances.of(kind=LedgerAccount.Kind.SETTLEMENT_LOSS) == reference.cents() * 10**7 - asked
    assert stripe.world.balance_cents() == reference.cents()
    assert invariants.run() == []
