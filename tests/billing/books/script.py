"""What happens in the golden month, day by day; the same each time."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from itertools import cycle, product
from typing import Final
from uuid import UUID

from billing.services import credits, ledger, metering, refunds, rollups
from routing.canonical import Usage
from tests.billing.books.month import Customer, Month
from tests.billing.books.reference import LONG, NANO, NOVEMBER, OCTOBER

Act = Callable[[], object]
# The edges of the night's prices, and of those of long prompts.
CLOCK: Final = [(0, 29), (0, 30), (16, 29), (16, 30)]
PROMPTS: Final = [3_001, LONG, LONG + 1]
ENDS_GIFT: Final = OCTOBER + dt.timedelta(days=12)


class Script:
    """The customers' acts, in the order of the clock; which is which goes by their number."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.source = random.Random(3)
        self.chats = cycle(product(CLOCK, PROMPTS))
        self.number = 0
        self.runs: dict[str, tuple[dt.datetime, UUID, int]] = {}
        self.disputed = ""

    def september(self) -> None:
        """Of this October knows the balance only."""
        self.month.pay(3_000)
        for hour in range(5):
            self.chat(self.month.prepaid, OCTOBER - dt.timedelta(days=8, hours=hour), 2_000)()

    def day(self, number: int) -> None:
        """What happens on a day of October, in the order of the clock; in the night after it usage is exported."""
        midnight = OCTOBER + dt.timedelta(days=number)
        for _, act in sorted([*self.usual(midnight), *self.special(midnight)], key=lambda one: one[0]):
            act()
        self.month.clock.put(midnight + dt.timedelta(days=1, minutes=10))
        rollups.close()
        self.month.stripe.fail(*["500-after"] * (number % 3))
        metering.export()
        self.month.stripe.faults.clear()

    def usual(self, midnight: dt.datetime) -> list[tuple[dt.datetime, Act]]:
        """A chat of each customer, and a run of one of them."""
        customers = (self.month.prepaid, self.month.metered)
        acts: list[tuple[dt.datetime, Act]] = []
        for who in customers:
            (hour, minute), prompt = next(self.chats)
            now = midnight + dt.timedelta(hours=hour, minutes=minute)
            acts.append((now, self.chat(who, now, prompt)))
        now = midnight + dt.timedelta(hours=13)
        return [*acts, (now, self.run(customers[now.day % 2], now))]

    def special(self, midnight: dt.datetime) -> list[tuple[dt.datetime, Act]]:
        """What happens once, at one in the morning of a day; and at the very end."""
        acts: dict[int, Act] = {2: self.buy_and_gift, 13: self.end_gift, 19: self.correct, 21: self.take_back}
        if midnight.day == 31:
            last = NOVEMBER - dt.timedelta(milliseconds=500)
            return [(last, self.run(who, last, 60_000)) for who in (self.month.prepaid, self.month.metered)]
        return [(midnight + dt.timedelta(hours=1), acts[midnight.day])] if midnight.day in acts else []

    def chat(self, who: Customer, now: dt.datetime, prompt: int) -> Act:
        """A chat of this size: every third with the customer's own key, every fifth cut."""
        self.number += 1
        number, source = self.number, self.source
        if number % 5 == 4:
            delivered = 0 if number % 10 == 4 else source.randrange(1, 9_000)
            return lambda: self.month.cut(who, now, input_tokens=prompt, delivered_bytes=delivered)
        completion, cached = source.randrange(1, 9_000), source.randrange(prompt)
        usage = Usage(prompt, completion, cached, source.randrange(prompt - cached), source.randrange(completion))
        return lambda: self.month.chat(who, now, usage, own_key=number % 3 == 2)

    def run(self, who: Customer, now: dt.datetime, ms: int | None = None) -> Act:
        """A hosted run, on one hardware or the other; every fifth is canceled."""
        self.number += 1
        took, sku = ms or self.source.randrange(1, 100_000), ("cpu", "gpu-t4")[self.number % 2]
        is_canceled = self.number % 5 == 3

        def act() -> None:
            charge_id = self.month.run(who, now, sku, took, canceled=is_canceled)
            self.runs[who.account.slug] = (now, charge_id, took)

        return act

    def buy_and_gift(self) -> None:
        prepaid = self.month.prepaid
        self.disputed = self.month.pay(4_000)
        credits.grant(
            account_id=prepaid.account.pk, amount_nano=2 * NANO, reference="welcome", expires_at=ENDS_GIFT
        )  # fmt: skip
        prepaid.book.grant(200, ENDS_GIFT)

    def end_gift(self) -> None:
        assert 0 < self.month.prepaid.book.gift < 2 * NANO  # some of it was used, some of it ends
        self.month.clock.put(ENDS_GIFT + dt.timedelta(minutes=1))
        assert credits.expire() == 1
        self.month.prepaid.book.expire()

    def correct(self) -> None:
        """The last run of each was shorter than was charged: given back today."""
        self.month.clock.put(OCTOBER + dt.timedelta(days=18, hours=1))
        for who in (self.month.prepaid, self.month.metered):
            then, charge_id, ms = self.runs[who.account.slug]
            self.month.correct(who, charge_id, then, ms // 3)

    def take_back(self) -> None:
        """A purchase of which a part goes back unused, and the bank takes the one of the 2nd."""
        month, prepaid = self.month, self.month.prepaid
        month.clock.put(OCTOBER + dt.timedelta(days=20, hours=1))
        month.pay(2_500)
        topup = prepaid.account.topups.latest("created_at")
        assert refunds.ask(topup=topup, amount_cents=1_234).state == "succeeded"
        prepaid.book.refund(1_234)
        month.stripe.world.dispute(self.disputed)
        month.stripe.deliver(month.post, copies=2)
        prepaid.book.dispute(4_000)
        assert ledger.wallet_of(prepaid.account.pk).is_frozen
        assert ledger.thaw(account_id=prepaid.account.pk)
