"""Anything that can happen to money, in any order, against the model; with crashes between any two statements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from billing import invariants
from billing.gateways.stripe import client as gateway
from billing.gateways.stripe import connect, invoicing, returns
from billing.models import Charge, InboxEvent, Recipient
from billing.models import TopUp as TopUpRow
from billing.rating import Part, rate
from billing.services import (
    balances,
    credits,
    daybook,
    holds,
    inbox,
    payouts,
    refunds,
    rollups,
    topups,
)
from marketplace.lib import ids
from marketplace.lib.errors import InvalidRequest, PaymentRequired
from marketplace.models import Account
from tests.billing.books.afterwards import METERED, Afterwards
from tests.billing.books.bank import DISPUTE_FEE, Bank, fee_of
from tests.billing.books.model import CENT, PROVIDER_BPS, Books, Hold, Payout, TopUp
from tests.factories import marketplace as make

HOUR = dt.timedelta(hours=1)
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 3_000_000_000))
LEAST_PAYOUT = 10
# All checks after each step would take minutes: the numbers are compared after each, all checks every so often.
ALL_CHECKS_EVERY = 40

# Everything that the model says, and that the books add up, in one statement.
_NUMBERS = """
SELECT 'wallet:' || account_id, balance_nano FROM billing_wallet
UNION ALL SELECT 'held:' || account_id, held_nano FROM billing_wallet
UNION ALL SELECT 'frozen:' || account_id, is_frozen::int FROM billing_wallet
UNION ALL SELECT a.kind, SUM(e.amount_nano)::bigint FROM billing_entry e
  JOIN billing_ledgeraccount a ON a.id = e.ledger_account_id WHERE a.kind <> 'wallet' GROUP BY a.kind
UNION ALL SELECT 'entries:' || a.account_id, SUM(e.amount_nano)::bigint FROM billing_entry e
  JOIN billing_ledgeraccount a ON a.id = e.ledger_account_id WHERE a.kind = 'wallet' GROUP BY a.account_id
UNION ALL SELECT 'open:' || w.account_id, SUM(h.amount_nano)::bigint FROM billing_hold h
  JOIN billing_wallet w ON w.id = h.wallet_id WHERE h.state = 'open' GROUP BY w.account_id
"""


class Crash(Exception):
    """The process ends here."""


def sound() -> None:
    """No check of the books complains."""
    violations = invariants.run()
    assert not violations, violations


class Machine(Afterwards):
    """Three accounts, a provider, a bank; `steps` counts over all runs."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        self.books = Books()
        self.bank = Bank()
        self.topups: dict[str, TopUp] = {}
        self.refunds: dict[str, tuple[TopUp, int, str]] = {}
        self.crash_at = 0
        self.taken = 0
        names = ("customer", "checkout", "payment", "session")
        self.payouts: dict[str, Payout] = {}
        self.patches = [mock.patch.object(gateway, name, getattr(self.bank, name)) for name in names]
        back = ("refunded", "disputed", "refund")
        self.patches += [mock.patch.object(returns, name, getattr(self.bank, name)) for name in back]
        transfers = ("transfer", "transfer_of", "transferred")
        self.patches += [mock.patch.object(connect, name, getattr(self.bank, name)) for name in transfers]
        self.patches += [
            mock.patch.object(invoicing, name, getattr(self.bank, name)) for name in ("invoice", "paid_by")
        ]
        # Days are the earnings' own tests: here all is ready at once.
        rules = {"PAYOUT_DELAY_DAYS": 0, "PAYOUT_RESERVE_DAYS": 0, "PAYOUT_MIN_CENTS": LEAST_PAYOUT}
        self.patches += [mock.patch.object(settings, name, value) for name, value in rules.items()]
        for patch in self.patches:
            patch.start()

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        try:
            if not self.outer_is_broken():
                balances.advance()
                daybook.advance()
                rollups.close()
                sound()
        finally:
            transaction.set_rollback(True)
            self.outer.__exit__(None, None, None)

    def outer_is_broken(self) -> bool:
        return connection.needs_rollback

    @initialize()
    def people(self) -> None:
        self.accounts: list[Account] = [make.account(email=f"{n}@example.com", slug=f"m{n}") for n in range(3)]
        self.provider = make.account(email="op@example.com", slug="op")
        Recipient.objects.create(account=self.provider, recipient_id="acct_op", country="US", is_active=True)
        for account in self.accounts:
            self.grant(self.accounts.index(account), 2_000_000_000)
        topups.customer_of(account=self.accounts[METERED], user=make.user("2@example.com"))
        self.limit(5)

    # -- doing things, with a crash where one was asked for

    def do(self, act: Callable[[], Any]) -> Any:
        """Run a service; when it crashes on the way nothing has happened, and it is run again."""
        if self.crash_at:
            at, self.crash_at = self.crash_at, 0
            left = [at]

            def crash(execute: Any, *arguments: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise Crash
                return execute(*arguments)

            try:
                with transaction.atomic(), connection.execute_wrapper(crash):
                    return act()
            except Crash:
                self.compare()
        return act()

    @rule(at=st.integers(1, 30))
    def crash_soon(self, at: int) -> None:
        """The next step dies before its at-th statement."""
        self.crash_at = at

    # -- holds

    @rule(who=st.integers(0, METERED), amount=AMOUNTS)
    def hold(self, who: int, amount: int) -> None:
        account, name = self.accounts[who].pk, str(ids.uuid7())
        fits = self.books.may_hold(account, amount)
        made = self.refusable(
            lambda: holds.place(
                account_id=account, key_id=None, amount_nano=amount, kind="chat", reference=name, expires_in=HOUR
            )
        )
        assert (made is not None) == fits
        if made is not None:
            self.books.holds[str(made.pk)] = Hold(account, amount)

    @precondition(lambda self: self.books.holds)
    @rule(data=st.data(), amount=AMOUNTS)
    def carve(self, data: st.DataObject, amount: int) -> None:
        parent = self.any_hold(data)
        had = self.books.holds[parent]
        fits = had.is_open and had.amount >= amount
        name = str(ids.uuid7())
        made = self.refusable(
            lambda: holds.carve(
                parent_id=UUID(parent), amount_nano=amount, kind="step", reference=name, expires_in=HOUR
            )
        )
        assert (made is not None) == fits
        if made is not None:
            had.amount -= amount
            self.books.holds[str(made.pk)] = Hold(had.account, amount, parent)

    @precondition(lambda self: self.books.holds)
    @rule(data=st.data(), amount=AMOUNTS)
    def extend(self, data: st.DataObject, amount: int) -> None:
        name = self.any_hold(data)
        hold = self.books.holds[name]
        parent = self.books.holds.get(hold.parent)
        if parent is not None:
            fits = parent.is_open and parent.amount >= amount
        else:
            fits = self.books.may_hold(hold.account, amount)
        done = self.refusable(lambda: holds.extend(hold_id=UUID(name), amount_nano=amount, expires_in=HOUR))
        assert done is (None if hold.is_open and not fits else hold.is_open)
        if done:
            hold.amount += amount
            if parent is not None:
                parent.amount -= amount

    @precondition(lambda self: self.books.holds)
    @rule(data=st.data(), cost=AMOUNTS, times=st.integers(1, 2))
    def settle(self, data: st.DataObject, cost: int, times: int) -> None:
        name = self.any_hold(data)
        rated = rate({"request": 1_000_000}, {"request": cost})
        parts = [Part("provider_payable", self.provider.pk, bps=PROVIDER_BPS)]
        for _ in range(times):
            was_open = self.books.holds[name].is_open
            made: Charge | None = self.do(lambda: holds.settle(hold_id=UUID(name), rated=rated, parts=parts))
            assert (made is not None) == was_open
            if made is not None:
                paid = self.books.settle(name, cost)
                assert (made.amount_nano, made.bad_debt_nano) == (paid, cost - paid)

    @precondition(lambda self: self.books.holds)
    @rule(data=st.data(), times=st.integers(1, 2))
    def release(self, data: st.DataObject, times: int) -> None:
        """A failure, or the sweeper that finds an expired hold."""
        name = self.any_hold(data)
        for _ in range(times):
            was_open = self.books.holds[name].is_open
            assert self.do(lambda: holds.release(hold_id=UUID(name))) is was_open
            if was_open:
                self.books.release(name)

    @rule(who=st.integers(0, METERED), amount=st.integers(1, 3_000_000_000))
    def grant(self, who: int, amount: int) -> None:
        account, reference = self.accounts[who].pk, str(ids.uuid7())
        for expected in (True, False):
            done = self.do(lambda: credits.grant(account_id=account, amount_nano=amount, reference=reference))
            assert done is expected
        self.books.grant(account, amount)

    # -- payments

    @rule(who=st.integers(0, 1), cents=st.integers(500, 3_000))
    def buy(self, who: int, cents: int) -> None:
        user = make.user(f"{who}@example.com")
        started = topups.start(
            account=self.accounts[who], user=user, amount_cents=cents, success_url="/", cancel_url="/"
        )
        total = started.topup.total_cents
        payment_id = f"pi_{started.topup.pk}"
        self.topups[payment_id] = TopUp(self.accounts[who].pk, cents, total, fee_of(total))

    @precondition(lambda self: self.unpaid())
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        self.bank.pay(data.draw(st.sampled_from(self.unpaid())))

    @precondition(lambda self: self.bank.events)
    @rule(data=st.data(), stays=st.booleans(), away=st.booleans())
    def webhook(self, data: st.DataObject, stays: bool, away: bool) -> None:
        """Any event on its way arrives; it may come again, and Stripe may not answer when it is asked back."""
        at = data.draw(st.integers(0, len(self.bank.events) - 1))
        event = self.bank.events[at] if stays else self.bank.events.pop(at)
        self.bank.is_away = away and not InboxEvent.objects.filter(pk=str(event["id"]), is_done=True).exists()
        was_done = InboxEvent.objects.filter(pk=str(event["id"]), is_done=True).exists()
        done = self.do(lambda: inbox.receive(event))
        assert done is not self.bank.is_away
        self.bank.is_away = False
        if not was_done and done:
            self.apply(event)

    @rule()
    def work_off(self) -> None:
        """Events that could not be applied are applied now."""
        waiting = list(InboxEvent.objects.filter(is_done=False).order_by("received_at"))
        assert self.do(inbox.work_off) == len(waiting)
        for row in waiting:
            self.apply(row.payload)

    @precondition(lambda self: self.refundable())
    @rule(data=st.data(), cents=st.integers(1, 3_000), away=st.booleans())
    def refund(self, data: st.DataObject, cents: int, away: bool) -> None:
        payment_id = data.draw(st.sampled_from(self.refundable()))
        topup = self.topups[payment_id]
        row = TopUpRow.objects.get(payment_intent_id=payment_id)
        most = refunds.refundable_cents(row)
        assert most * CENT <= max(0, self.books.free(topup.account))
        assert most <= topup.credit - topup.refunded
        self.bank.is_away = away
        try:
            made = refunds.ask(topup=row, amount_cents=cents)
        except InvalidRequest:
            assert cents > most
            return
        finally:
            self.bank.is_away = False
        assert cents <= most
        topup.refunded += cents
        self.books.balance[topup.account] -= cents * CENT
        self.books.house["refunds_clearing"] += cents * CENT
        self.refunds[f"re_{made.pk}"] = (topup, cents, "pending")

    @rule()
    def resend_refunds(self) -> None:
        """Refunds that Stripe has not heard of."""
        self.do(refunds.resume)

    @precondition(lambda self: self.pending_refunds())
    @rule(data=st.data(), works=st.booleans())
    def end_refund(self, data: st.DataObject, works: bool) -> None:
        self.bank.end_refund(data.draw(st.sampled_from(self.pending_refunds())), "succeeded" if works else "failed")

    @precondition(lambda self: self.disputable())
    @rule(data=st.data())
    def dispute(self, data: st.DataObject) -> None:
        self.bank.dispute(data.draw(st.sampled_from(self.disputable())))

    @precondition(lambda self: self.undecided())
    @rule(data=st.data(), won=st.booleans())
    def judge(self, data: st.DataObject, won: bool) -> None:
        self.bank.judge(data.draw(st.sampled_from(self.undecided())), won=won)

    # -- payouts

    @rule(ends=st.sampled_from(["told", "lost", "away", "refused"]))
    def pay_out(self, ends: str) -> None:
        cents = self.books.may_pay_out()
        is_due = cents >= LEAST_PAYOUT and not self.pending_payouts()
        self.bank.loses_answers, self.bank.is_away, self.bank.refuses = (
            ends == "lost",
            ends == "away",
            ends == "refused",
        )
        # No crash here: the row is committed before Stripe is asked, and a lost answer is the crash after it.
        made = payouts.pay(self.provider.pk, available_cents=10**12, at_once=True)
        self.bank.loses_answers = self.bank.is_away = self.bank.refuses = False
        assert (made is not None) == is_due
        if made is None:
            return
        assert made.amount_cents == cents
        payout = self.payouts[f"tr_{made.pk}"] = self.books.pay_out(cents)
        if ends == "told":
            self.books.transfer(payout, ())
        elif ends == "refused":
            self.books.refuse(payout)
        assert made.state == payout.state

    @rule(away=st.booleans())
    def resume_payouts(self, away: bool) -> None:
        """Payouts whose answer was lost are looked up, or asked for again."""
        waiting = self.pending_payouts()
        self.bank.is_away = away
        assert self.do(lambda: payouts.resume(timezone.now() + 2 * topups.UNKNOWN_AFTER)) == len(waiting)
        self.bank.is_away = False
        for name in [] if away else waiting:
            self.books.transfer(self.payouts[name], self.bank.transfers[name].reversals)

    @precondition(lambda self: self.bank.transfers)
    @rule(data=st.data(), cents=st.integers(1, 400))
    def reverse(self, data: st.DataObject, cents: int) -> None:
        """Somebody takes a transfer back in Stripe's dashboard, or a part of it."""
        name = data.draw(st.sampled_from(list(self.bank.transfers)))
        told = self.bank.transfers[name]
        left = told.amount_cents - sum(taken for _, taken in told.reversals)
        if left:
            self.bank.reverse(name, min(cents, left))

    @precondition(lambda self: self.books.is_paused)
    @rule()
    def go_on(self) -> None:
        payouts.go_on(Recipient.objects.get())
        self.books.is_paused = False

    # -- after each step

    @invariant()
    def count(self) -> None:
        Machine.steps += 1
        self.taken += 1
        self.compare()
        if self.taken % ALL_CHECKS_EVERY == 0:
            balances.advance()
            sound()

    def compare(self) -> None:
        """The database's numbers are the model's, and PostgreSQL finds each transaction in balance."""
        if not hasattr(self, "accounts"):
            return
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;" + _NUMBERS)
            while cursor.description is None:
                cursor.nextset()
            found = {name: value for name, value in cursor.fetchall() if value}
        expected: dict[str, int] = {name: value for name, value in self.books.house.items() if value}
        for account in (one.pk for one in self.accounts):
            numbers = {
                "wallet": self.books.balance[account],
                "entries": self.books.balance[account],
                "held": self.books.held(account),
                "open": self.books.held(account),
                "frozen": int(account in self.books.frozen),
            }
            expected |= {f"{name}:{account}": value for name, value in numbers.items() if value}
        assert found == expected, (found, expected)

    # -- what the model makes of an event: the state of its object, now

    def apply(self, event: dict[str, Any]) -> None:
        object_id = event["data"]["object"]["id"]
        if object_id.startswith("cs_"):
            object_id = self.bank.sessions[object_id].payment_intent_id
        if object_id.startswith("in_"):
            self.apply_invoice(object_id)
        elif object_id.startswith("tr_"):
            self.books.transfer(self.payouts[object_id], self.bank.transfers[object_id].reversals)
        elif object_id.startswith("re_"):
            self.apply_refund(object_id)
        elif object_id.startswith("dp_"):
            self.apply_dispute(object_id)
        else:
            self.books.credit(self.topups[object_id])

    def apply_refund(self, refund_id: str) -> None:
        told = self.bank.refunds[refund_id]
        if name := self.bank.paid_by(told.payment_intent_id):
            self.apply_invoice_refund(refund_id, self.apply_invoice(name))
            return
        topup, cents, before = self.refunds[refund_id]
        now = self.bank.refunds[refund_id].status
        if before != "pending" or now == "pending":
            return
        self.refunds[refund_id] = (topup, cents, now)
        self.books.house["refunds_clearing"] -= cents * CENT
        if now == "succeeded":
            self.books.house["stripe_clearing"] += cents * CENT
        else:
            topup.refunded -= cents
            self.books.balance[topup.account] += cents * CENT

    def apply_dispute(self, dispute_id: str) -> None:
        told = self.bank.disputes[dispute_id]
        if name := self.bank.paid_by(told.payment_intent_id):
            self.apply_invoice_dispute(dispute_id, self.apply_invoice(name))
            return
        topup = self.topups[told.payment_intent_id]
        self.books.credit(topup)
        self.books.disputes[dispute_id] = (topup.account, told.status)
        if told.status != "won":
            self.books.frozen.add(topup.account)
            self.books.take(topup, DISPUTE_FEE)
            return
        self.books.restore(topup)
        self.books.thaw(topup.account)

    # -- what there is to choose from

    def any_hold(self, data: st.DataObject) -> str:
        # The latest ones, so that open ones are met often.
        return data.draw(st.sampled_from(list(self.books.holds)[-8:]))

    def pending_payouts(self) -> list[str]:
        return [name for name, payout in self.payouts.items() if payout.state == "pending"]

    def unpaid(self) -> list[str]:
        return [one.id for one in self.bank.payments.values() if not one.is_paid]

    def refundable(self) -> list[str]:
        told = {one.payment_intent_id for one in self.bank.disputes.values()}
        return [one for one, topup in self.topups.items() if topup.is_credited and one not in told]

    def pending_refunds(self) -> list[str]:
        return [one.id for one in self.bank.refunds.values() if one.status == "pending"]

    def disputable(self) -> list[str]:
        told = {one.payment_intent_id for one in self.bank.disputes.values()}
        paid = [one.id for one in self.bank.payments.values() if one.is_paid and one.id not in told]
        return [one for one in paid if one in self.topups and not self.topups[one].refunded]

    def undecided(self) -> list[str]:
        return [one.id for one in self.bank.disputes.values() if one.status == "needs_response"]

    def refusable(self, act: Callable[[], Any]) -> Any:
        """What a service returns; None where it refuses for want of money."""
        try:
            return self.do(act)
        except PaymentRequired:
            return None
