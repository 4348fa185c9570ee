"""The golden month through the services: what two customers do, each step told to the reference too."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any
from uuid import UUID

from billing.models import Charge, Recipient
from billing.rating import Part, rate
from billing.services import corrections, holds, metered, payouts, subscriptions
from marketplace.lib import ids
from marketplace.models import Account, Endpoint, Hardware
from marketplace.services import prices, provider_keys
from marketplace.services.keys import Caller
from routing.canonical import Usage
from routing.models import Generation
from routing.services import own_keys, routes, settlement
from routing.services.routes import Route
from tests.billing.books import reference as by_fractions
from tests.billing.books.reference import NANO, Book, House
from tests.billing.conftest import Post, begin
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe

_KEYS = {
    by_fractions.ALWAYS: "{}",
    by_fractions.NIGHT: "{}@1630-0030",
    by_fractions.IS_LONG: "{}>200000",
    by_fractions.LONG_NIGHT: "{}@1630-0030>200000",
}


@dataclass
class Customer:
    """An account and what the reference says of it."""

    account: Account
    book: Book


class Clock:
    """The time that the services and Stripe read; it runs on by a millisecond with each look."""

    def __init__(self, stripe: FakeStripe) -> None:
        self.stripe = stripe
        self.put(by_fractions.OCTOBER)

    def put(self, moment: dt.datetime) -> None:
        """Set it."""
        self.moment = moment
        self.stripe.world.ahead = int(moment.timestamp() - time.time())

    def read(self) -> dt.datetime:
        """What `timezone.now` says."""
        self.moment += dt.timedelta(milliseconds=1)
        return self.moment


class Month:
    """A catalogue of one endpoint and two classes of hardware, one customer of each kind, and a Stripe."""

    def __init__(self, clock: Clock, stripe: FakeStripe, post: Post) -> None:
        self.clock = clock
        self.stripe = stripe
        self.post = post
        self.house = House()
        self.prepaid = Customer(make.account(), Book(self.house))
        self.metered = Customer(make.account(email="bob@example.com"), Book(self.house))
        self.endpoint: Endpoint = make.EndpointFactory.create(
            model__slug="one", context_length=2_000_000, max_output=10_000, prices=table(by_fractions.BEFORE)
        )
        self.provider = self.endpoint.provider.account
        self.publisher = make.account(email="publisher@example.com")
        for place, (sku, (dollars, _)) in enumerate(by_fractions.SECONDS.items()):
            hardware = make.HardwareFactory.create(sku=sku, position=place)
            prices.set_prices(hardware=hardware, prices=second(dollars))
        for customer in (self.prepaid, self.metered):
            provider_keys.keep(account=customer.account, provider=self.endpoint.provider.slug, key="sk-own")

    # -- what they do

    def chat(self, who: Customer, now: dt.datetime, usage: Usage, *, own_key: bool = False) -> None:
        """A routed request at a moment; with `own_key` the account's own at the provider."""
        self.clock.put(now)
        route = self._route(who, own_key=own_key)
        generation_id = at(now)
        bound = route.candidate.bound(input_tokens=usage.prompt_tokens, max_tokens=usage.completion_tokens)
        bill = settlement.charge(
            generation_id=generation_id,
            hold_id=self._hold(who, "chat", str(generation_id), bound),
            route=route,
            usage=usage,
            units={},
            ending=settlement.Ending(Generation.Status.FINISHED),
        )
        counts = {
            "prompt": usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
            "cached_read": usage.cached_tokens,
            "cached_write": usage.cache_write_tokens,
            "completion": usage.completion_tokens - usage.reasoning_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        cost = who.book.chat(now, counts, own_key=own_key)
        assert bill is not None
        assert bill.cost_nano == cost <= bound

    def cut(self, who: Customer, now: dt.datetime, *, input_tokens: int, delivered_bytes: int) -> None:
        """A stream that broke: what was delivered is counted by us, and with nothing delivered nothing is charged."""
        if delivered_bytes:
            usage = settlement.counted(input_tokens=input_tokens, delivered_bytes=delivered_bytes)
            assert (usage.prompt_tokens, usage.completion_tokens) == (input_tokens, ceil(delivered_bytes / 4))
            self.chat(who, now, usage)
            return
        self.clock.put(now)
        hold_id = self._hold(who, "chat", str(at(now)), NANO)
        ending = settlement.Ending(Generation.Status.FAILED)
        assert settlement.release(generation_id=at(now), hold_id=hold_id, ending=ending)

    def run(self, who: Customer, now: dt.datetime, sku: str, ms: int, *, canceled: bool = False) -> UUID:
        """A hosted run of so many milliseconds, the charge's id; a canceled one costs what it ran of what was held."""
        self.clock.put(now)
        each = prices.snapshot(hardware_id=Hardware.objects.get(sku=sku).pk)
        rated = rate(each, {"hardware_ms": ms})
        hold_id = self._hold(who, "prediction", str(at(now)), rated.amount_nano + (NANO if canceled else 0))
        labels = {"model": "acme/faces", "hardware": sku}
        charge = holds.settle(hold_id=hold_id, rated=rated, parts=self._royalty(), labels=labels)
        assert charge is not None
        assert charge.amount_nano == who.book.run(now, sku, ms)
        return charge.pk

    def correct(self, who: Customer, charge_id: UUID, then: dt.datetime, truth_ms: int) -> None:
        """The run of a charge turns out to have been shorter."""
        charge = Charge.objects.get(pk=charge_id)
        rated = rate(charge.prices, {"hardware_ms": truth_ms})
        assert corrections.correct(charge_id=charge_id, rated=rated, parts=self._royalty(), reason="Counted twice.")
        who.book.correct(then, charge.labels["hardware"], charge.quantities["hardware_ms"], truth_ms)

    def pay(self, cents: int) -> str:
        """The prepaid customer buys credit; the payment's id."""
        topup = begin(self.prepaid.account, cents)
        intent = self.stripe.world.pay(topup.session_id)
        self.stripe.deliver(self.post, copies=2)
        self.prepaid.book.pay(cents)
        return str(intent["id"])

    def change_prices(self) -> None:
        """Tokens and seconds cost something else from here on."""
        prices.set_prices(endpoint=self.endpoint, prices=table(by_fractions.AFTER))
        for sku, (_, dollars) in by_fractions.SECONDS.items():
            prices.set_prices(hardware=Hardware.objects.get(sku=sku), prices=second(dollars))

    def subscribe(self) -> str:
        """The metered customer pays afterwards from here on; the subscription's id."""
        account = self.metered.account
        metered.decide(account=account, credit_limit_nano=1_000 * NANO, reason="A known customer.", decided_by=None)
        subscriptions.sync()
        return str(account.subscription.subscription_id)

    def connect(self) -> None:
        """Stripe pays the provider."""
        user = make.user("operator@example.com")
        payouts.onboard(account=self.provider, user=user, country="us", return_url="/", refresh_url="/")
        recipient = Recipient.objects.get(account=self.provider)
        self.stripe.world.onboard(recipient.recipient_id)
        payouts.refresh(recipient)

    # -- inside

    def _route(self, who: Customer, *, own_key: bool) -> Route:
        """The endpoint as the router finds it for this customer."""
        groups = routes.routes({"acme/one": self.endpoint.model_id})
        (found,) = own_keys.joined(groups, caller=Caller(who.account.pk, 0, frozenset()))
        return next(one for one in found if one.is_own is own_key)

    def _royalty(self) -> list[Part]:
        return [Part("publisher_payable", self.publisher.pk, bps=1_000)]

    def _hold(self, who: Customer, kind: str, reference: str, amount: int) -> UUID:
        made = holds.place(
            account_id=who.account.pk, key_id=None, amount_nano=amount, kind=kind, reference=reference,
            expires_in=dt.timedelta(hours=1),
        )  # fmt: skip
        return made.pk


def at(moment: dt.datetime) -> UUID:
    """An id of a request that came at a moment."""
    rest = ids.uuid7().int & ((1 << 80) - 1)
    return UUID(int=int(moment.timestamp() * 1000) << 80 | rest)


def table(prices_in_words: dict[str, dict[str, str]]) -> dict[str, int]:
    """Dollars a million tokens as the catalogue keeps them."""
    return {
        _KEYS[when].format(unit): int(Fraction(dollars) * NANO)
        for when, units in prices_in_words.items()
        for unit, dollars in units.items()
    }


def second(dollars: str) -> dict[str, int]:
    """Dollars a second as the catalogue keeps them: nano-dollars a million milliseconds."""
    return {"hardware_ms": int(Fraction(dollars) * 1_000 * NANO)}


def patched(monkeypatch: Any, clock: Clock) -> Callable[[dt.datetime], None]:
    """Let the services read this clock; returns how to set it."""
    monkeypatch.setattr("django.utils.timezone.now", clock.read)
    return clock.put
