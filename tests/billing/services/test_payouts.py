"""Payouts: each dollar is sent once, whatever is lost, repeated or taken back, and the books say so at any moment."""

from __future__ import annotations

import random
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from billing import invariants, tasks
from billing.gateways.stripe import connect
from billing.gateways.stripe.transport import PaymentsOff, Rejected
from billing.models import Delivery, LedgerAccount, Payout, Recipient
from billing.services import balances, deliveries, earnings, payouts, walk
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO
from marketplace.models import Account, User
from tests.billing.conftest import Post, begin
from tests.billing.services.test_holds import in_threads
from tests.factories import marketplace as make
from tests.factories.billing import sell
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.server import BUSY, CONFLICT, FAIL_AFTER, FAIL_BEFORE, HANG_UP_AFTER

CENT = 10_000_000
PAGE = "http://testserver/earnings"
Kind = LedgerAccount.Kind


@pytest.fixture(autouse=True)
def _ready_at_once(settings: Any) -> None:
    """Delay and reserve are the earnings' own tests."""
    settings.PAYOUT_DELAY_DAYS = settings.PAYOUT_RESERVE_DAYS = 0


@pytest.fixture
def maker(stripe: FakeStripe, post: Post, alice: Account) -> Account:
    """Has earned $10 as a publisher and $85.50 as an operator, and is not connected yet; Alice paid $500 for it."""
    return earner(stripe, post, alice)


def earner(stripe: FakeStripe, post: Post, payer: Account) -> Account:
    """As above, without the fixtures."""
    account = make.account(email="maker@example.com", slug="maker")
    stripe.world.pay(begin(payer, 50_000).session_id)
    stripe.deliver(post)
    sell(payer, "100.00", to=account, side="publisher_payable", bps=1_000, model="maker/faces")
    sell(payer, "90.00", to=account, model="acme/one", provider="makers")
    return account


def onboard(account: Account, country: str = "us") -> str:
    """Where Stripe asks who is to be paid."""
    user = make.user("maker@example.com")
    return payouts.onboard(account=account, user=user, country=country, return_url=PAGE, refresh_url=PAGE)


def connected(stripe: FakeStripe, account: Account) -> Recipient:
    """A recipient whom Stripe pays."""
    onboard(account)
    found = Recipient.objects.get(account=account)
    stripe.world.onboard(found.recipient_id)
    payouts.refresh(found)
    found.refresh_from_db()
    return found


def pay(account: Account, available_cents: int = 10**9) -> Payout | None:
    """Now, whatever the clock says."""
    return payouts.pay(account.pk, available_cents=available_cents, at_once=True)


def owed(account: Account) -> int:
    """Cents that the account has earned and was not paid."""
    return sum(balances.of(kind=side, owner_id=account.pk) for side in earnings.SIDES) // CENT


def agree(stripe: FakeStripe) -> None:
    """Our books are in order, and say of Stripe's what they say themselves."""
    walk.walk()
    assert invariants.run() == []
    assert -balances.of(kind=Kind.STRIPE_CLEARING) == stripe.world.balance_cents() * CENT
    assert payouts.compare() == []


class TestOnboarding:
    """Who is paid."""

    def test_a_recipient_is_made_once_and_paid_only_when_stripe_is_content(
        self, stripe: FakeStripe, post_thin: Post, maker: Account
    ) -> None:
        assert onboard(maker).startswith("https://connect.stripe.com/setup/")
        assert onboard(maker).startswith("https://connect.stripe.com/setup/")
        assert [path for method, path in stripe.calls if method == "post"].count("/v2/core/accounts") == 1
        recipient = Recipient.objects.get()
        assert (recipient.is_active, payouts.due(), pay(maker)) == (False, [], None)
        stripe.deliver_thin(post_thin)
        recipient.refresh_from_db()
        assert (recipient.is_active, recipient.needs) == (False, "external_account")
        stripe.world.onboard(recipient.recipient_id)
        stripe.deliver_thin(post_thin, copies=2)
        recipient.refresh_from_db()
        assert (recipient.is_active, recipient.needs) == (True, "")
        assert payouts.due() == [maker.pk]
        assert onboard(maker)  # to change the bank later
        stripe.world.restrict(recipient.recipient_id, "identity.document")
        stripe.deliver_thin(post_thin)
        assert payouts.due() == []

    @pytest.mark.parametrize("country", ["", "u", "usa", "ü1"])
    def test_what_is_no_country_is_refused_here(self, stripe: FakeStripe, alice: Account, country: str) -> None:
        with pytest.raises(InvalidRequest, match="two letters"):
            onboard(alice, country)

    def test_a_country_that_stripe_does_not_pay_to_can_be_corrected(self, stripe: FakeStripe, alice: Account) -> None:
        with pytest.raises(Rejected, match="XX"):
            onboard(alice, "XX")
        assert onboard(alice, "KR")
        assert Recipient.objects.get().country == "KR"

    def test_without_keys_payouts_are_off(self, alice: Account) -> None:
        with pytest.raises(PaymentsOff):
            onboard(alice)
        with pytest.raises(CommandError, match="off"):
            call_command("pay_out")

    def test_a_bank_that_refuses_is_noted_until_one_takes_it(
        self, stripe: FakeStripe, post: Post, maker: Account
    ) -> None:
        recipient = connected(stripe, maker)
        stripe.world.send_to_bank(recipient.recipient_id, fails="The account is closed.")
        stripe.deliver(post, copies=2)
        recipient.refresh_from_db()
        assert recipient.bank_error == "The account is closed."
        stripe.world.send_to_bank(recipient.recipient_id)
        stripe.deliver(post)
        recipient.refresh_from_db()
        assert recipient.bank_error == ""


class TestPaying:
    """What is sent."""

    def test_what_is_ready_is_sent_in_two_steps_and_once_a_day(self, stripe: FakeStripe, maker: Account) -> None:
        recipient = connected(stripe, maker)
        assert payouts.next_one(recipient=recipient) == (timezone.now().date(), 9550)
        (payout,) = payouts.pay_due()
        assert (payout.state, payout.amount_cents, payout.publisher_nano) == ("paid", 9550, 10 * NANO)
        (transfer,) = stripe.world.transfers()
        assert (transfer["amount"], transfer["destination"]) == (9550, recipient.recipient_id)
        assert owed(maker) == 0
        assert balances.of(kind=Kind.PAYOUTS_CLEARING) == 0
        assert earnings.standing(account_id=maker.pk).paid_nano == payout.amount_nano
        assert payouts.pay_due() == []
        agree(stripe)

    def test_less_than_the_minimum_waits_and_parts_of_cents_stay(
        self, stripe: FakeStripe, maker: Account, alice: Account, settings: Any
    ) -> None:
        recipient = connected(stripe, maker)
        settings.PAYOUT_MIN_CENTS = 9551
        assert payouts.pay_due() == []
        assert payouts.due() == []  # looked at for today
        assert payouts.next_one(recipient=recipient) is None
        sell(alice, "0.019", to=maker)  # 1.805 cents of it
        payout = pay(maker)
        assert payout is not None
        assert payout.amount_cents == 9551
        assert balances.of(kind=Kind.PROVIDER_PAYABLE, owner_id=maker.pk) == 805 * CENT // 1000
        agree(stripe)

    def test_the_day_of_the_next_payout_is_told(self, stripe: FakeStripe, maker: Account, settings: Any) -> None:
        settings.PAYOUT_DELAY_DAYS, settings.PAYOUT_RESERVE_DAYS, settings.PAYOUT_RESERVE_PERCENT = 7, 30, 10
        recipient = connected(stripe, maker)
        today = timezone.now().date()
        assert pay(maker) is None
        assert payouts.next_one(recipient=recipient) == (today + timedelta(days=8), 8595)
        settings.PAYOUT_MIN_CENTS = 9000
        assert payouts.next_one(recipient=recipient) == (today + timedelta(days=31), 9550)

    def test_money_that_is_not_at_stripe_yet_is_not_asked_for(self, stripe: FakeStripe, maker: Account) -> None:
        connected(stripe, maker)
        stripe.world.pending_cents = stripe.world.balance_cents() - 9549
        assert payouts.pay_due() == []
        assert owed(maker) == 9550
        assert not Payout.objects.exists()

    def test_a_refusal_is_booked_back_and_tried_again_another_day(self, stripe: FakeStripe, maker: Account) -> None:
        recipient = connected(stripe, maker)
        stripe.world.restrict(recipient.recipient_id, "identity.document")
        (payout,) = payouts.pay_due()  # its event has not come yet
        assert payout.state == "failed"
        assert "capabilities" in payout.error
        assert (owed(maker), payouts.due()) == (9550, [])
        assert payouts.due(timezone.now() + timedelta(days=1)) == [maker.pk]
        stripe.world.onboard(recipient.recipient_id)
        again = pay(maker)
        assert again is not None
        assert again.state == "paid"
        agree(stripe)

    @pytest.mark.parametrize("faults", [[BUSY, BUSY], [CONFLICT], [FAIL_BEFORE], [CONFLICT, BUSY, FAIL_BEFORE]])
    def test_busy_conflicting_and_failing_answers_are_tried_again(
        self, stripe: FakeStripe, maker: Account, faults: list[str]
    ) -> None:
        connected(stripe, maker)
        stripe.fail(*faults)
        payout = pay(maker)
        assert payout is not None
        assert payout.state == "paid"
        assert len(stripe.world.transfers()) == 1
        agree(stripe)

    @pytest.mark.parametrize("fault", [FAIL_AFTER, HANG_UP_AFTER])
    def test_a_payout_whose_answer_is_lost_is_looked_up_and_not_repeated(
        self, stripe: FakeStripe, maker: Account, fault: str
    ) -> None:
        connected(stripe, maker)
        stripe.fail(*[fault] * 4)
        payout = pay(maker)
        assert payout is not None
        if fault == FAIL_AFTER:  # the library's own retries are told the same by the key
            assert payout.state == "pending"
            assert invariants.run() == []
            assert balances.of(kind=Kind.PAYOUTS_CLEARING) == 9550 * CENT
            assert pay(maker) is None
        sent = len([1 for call in stripe.calls if call == ("post", "/v1/transfers")])
        payouts.resume(timezone.now() + timedelta(minutes=2))
        payout.refresh_from_db()
        assert payout.state == "paid"
        assert len([1 for call in stripe.calls if call == ("post", "/v1/transfers")]) == sent
        assert len(stripe.world.transfers()) == 1
        agree(stripe)

    def test_one_that_never_arrived_is_asked_for_again_while_its_key_lives_and_then_given_up(
        self, stripe: FakeStripe, maker: Account
    ) -> None:
        connected(stripe, maker)
        stripe.fail(*[FAIL_BEFORE] * 6)
        first = pay(maker)
        assert first is not None
        assert first.state == "pending"
        later = timezone.now() + timedelta(minutes=2)
        assert payouts.resume(later) == 1
        first.refresh_from_db()
        assert first.state == "pending"
        payouts.resume(timezone.now() + timedelta(hours=21))
        first.refresh_from_db()
        assert (first.state, owed(maker)) == ("failed", 9550)
        assert stripe.world.transfers() == []
        agree(stripe)

    def test_one_that_was_given_up_and_turns_up_is_taken_once(self, stripe: FakeStripe, maker: Account) -> None:
        connected(stripe, maker)
        stripe.fail(*[FAIL_BEFORE] * 3)
        payout = pay(maker)
        assert payout is not None
        given_up = payouts._never_made(payout, "The transfer was never made.")
        payouts.settle(given_up)
        recipient = Recipient.objects.get()
        connect.transfer(
            payout_id=str(payout.pk), recipient_id=recipient.recipient_id, amount_cents=payout.amount_cents
        )
        payouts.compare()
        payouts.settle(given_up)
        payout.refresh_from_db()
        assert (payout.state, owed(maker)) == ("paid", 0)
        agree(stripe)


class TestWhatStripeTells:
    """Webhooks and the walk."""

    def test_what_the_platform_moves_to_its_bank_and_back_is_booked_once(
        self, stripe: FakeStripe, post: Post, maker: Account
    ) -> None:
        stripe.world.withdraw(20_000, fee=200)
        stripe.world.deposit(5_000)
        stripe.deliver(post, copies=2)
        for _ in range(2):
            walk.walk()
        assert balances.of(kind=Kind.BANK) == -15_000 * CENT
        assert walk.difference_cents() == 0
        agree(stripe)

    @pytest.mark.parametrize("seed", range(3))
    def test_what_is_taken_back_is_owed_again_once_and_pauses(
        self, stripe: FakeStripe, post: Post, maker: Account, seed: int
    ) -> None:
        recipient = connected(stripe, maker)
        payout = pay(maker)
        assert payout is not None
        stripe.world.reverse(payout.transfer_id or "", 9000)
        stripe.world.reverse(payout.transfer_id or "", 550)
        stripe.deliver(post, copies=2, shuffled=random.Random(seed))
        payout.refresh_from_db()
        assert (payout.state, payout.returned_cents, owed(maker)) == ("paid", 9550, 9550)
        assert balances.of(kind=Kind.PUBLISHER_PAYABLE, owner_id=maker.pk) == 10 * NANO
        recipient.refresh_from_db()
        assert recipient.paused_because == payouts.RETURNED
        assert pay(maker) is None
        agree(stripe)

    def test_more_reversals_than_a_transfer_carries_are_all_taken_over(
        self, stripe: FakeStripe, post: Post, maker: Account
    ) -> None:
        connected(stripe, maker)
        payout = pay(maker)
        assert payout is not None
        for _ in range(23):
            stripe.world.reverse(payout.transfer_id or "", 2)
        stripe.deliver(post, drop=lambda kind: kind != "transfer.reversed")
        assert owed(maker) == 46
        agree(stripe)

    def test_a_lost_reversal_is_found_by_the_walk(self, stripe: FakeStripe, post: Post, maker: Account) -> None:
        connected(stripe, maker)
        payout = pay(maker)
        assert payout is not None
        stripe.world.reverse(payout.transfer_id or "", 1)
        stripe.deliver(post, drop=lambda kind: True)
        assert owed(maker) == 0
        tasks.nightly_walk()
        assert owed(maker) == 1
        agree(stripe)

    def test_what_cannot_be_ours_is_told(self, stripe: FakeStripe, post: Post, maker: Account) -> None:
        recipient = connected(stripe, maker)
        made = connect.transfer(payout_id="somebody's", recipient_id=recipient.recipient_id, amount_cents=100)
        stripe.deliver(post)
        assert payouts.compare() == [f"transfer {made.id} is none of ours"]
        payout = pay(maker)
        assert payout is not None
        Payout.objects.filter(pk=payout.pk).update(transfer_id="tr_gone")
        assert f"payout {payout.pk} says tr_gone, which Stripe does not list" in payouts.compare()
        Payout.objects.filter(pk=payout.pk).update(state="pending")
        assert "payouts_equal_their_entries" in {one.check for one in invariants.run()}


@pytest.mark.django_db(transaction=True)
def test_who_manages_the_account_is_told_by_mail(stripe: FakeStripe, post: Post) -> None:
    account = earner(stripe, post, make.account())
    recipient = connected(stripe, account)
    stripe.world.restrict(recipient.recipient_id, "identity.document")
    pay(account)
    stripe.world.onboard(recipient.recipient_id)
    payout = pay(account)
    assert payout is not None
    stripe.world.reverse(payout.transfer_id or "", 100)
    stripe.deliver(post, copies=2)
    for row in Delivery.objects.order_by("pk"):
        deliveries.deliver(delivery_id=row.pk)
    assert [one.subject for one in mail.outbox] == ["Payout failed", "Payout sent", "Payout taken back"]
    assert {address for one in mail.outbox for address in one.to} == {"maker@example.com"}
    assert "$1.00" in str(mail.outbox[2].body)
    assert "earnings page" in str(mail.outbox[2].body)


def test_the_clock_pays_where_stripe_is_and_does_nothing_where_it_is_not(
    stripe: FakeStripe, maker: Account, settings: Any
) -> None:
    connected(stripe, maker)
    key, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, ""
    tasks.pay_out()
    assert not Payout.objects.exists()
    settings.STRIPE_SECRET_KEY = key
    tasks.pay_out()
    assert Payout.objects.get().state == "paid"


def test_the_command_pays_one_or_all(stripe: FakeStripe, maker: Account) -> None:
    connected(stripe, maker)
    said = StringIO()
    call_command("pay_out", stdout=said)
    call_command("pay_out", "maker", stdout=said)
    assert said.getvalue().splitlines() == ["maker: $95.50 paid", "Nothing is ready to be paid out."]
    with pytest.raises(CommandError, match="nobody"):
        call_command("pay_out", "nobody")


def test_staff_let_paused_payouts_go_on(stripe: FakeStripe, maker: Account) -> None:
    recipient = connected(stripe, maker)
    Recipient.objects.update(paused_because=payouts.RETURNED)
    staff = User.objects.create_superuser("root@example.com", "a-long-password")
    browser = Client()
    browser.force_login(staff)
    assert "came back" not in browser.get("/staff/billing/payout/").content.decode()
    assert payouts.RETURNED in browser.get("/staff/billing/recipient/").content.decode()
    browser.post("/staff/billing/recipient/", {"action": "go_on", "_selected_action": [recipient.pk]})
    assert payouts.due() == [maker.pk]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_hosts_at_once_one_pays(stripe: FakeStripe, post: Post) -> None:
    account = earner(stripe, post, make.account())
    connected(stripe, account)
    made = in_threads(16, lambda n: pay(account) if n % 2 else payouts.pay_due())
    assert len([1 for one in made if one]) == 1
    assert len(stripe.world.transfers()) == 1
    agree(stripe)
