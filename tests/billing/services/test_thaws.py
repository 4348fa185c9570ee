"""A frozen wallet's way back: by a decision that is kept, never around the bank's word or a debt."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from billing import invariants
from billing.models import LedgerAccount, Thaw, Wallet
from billing.services import balances, disputes, holds, inbox, ledger, refunds, thaws
from marketplace.lib.errors import Conflict, InvalidRequest, PaymentRequired
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.billing.conftest import Post, begin
from tests.billing.services.test_holds import cost, place
from tests.factories import marketplace as make
from tests.factories.billing import fund
from tests.fakes.stripe import FakeStripe


@pytest.fixture
def lost(stripe: FakeStripe, post: Post, alice: Account) -> str:
    """Alice spent $3 of the $10 that her bank then took back for good; the dispute's id."""
    intent = stripe.world.pay(begin(alice).session_id)
    stripe.deliver(post)
    holds.settle(hold_id=place(alice, 3 * NANO).pk, rated=cost(3 * NANO))
    dispute_id = stripe.world.dispute(intent["id"])
    stripe.deliver(post)
    stripe.world.judge(dispute_id, won=False)
    stripe.deliver(post)
    return dispute_id


def frozen(account: Account) -> bool:
    return Wallet.objects.get(account=account).is_frozen


def test_a_debt_is_paid_first(lost: str, stripe: FakeStripe, post: Post, alice: Account) -> None:
    with pytest.raises(Conflict, match=r"owes \$3\.00"):
        thaws.thaw(account=alice, reason="A mistake of the bank's.", decided_by=None)
    stripe.world.pay(begin(alice, 500).session_id)
    stripe.deliver(post)
    assert frozen(alice)
    made = thaws.thaw(account=alice, reason=" Paid by another card. ", decided_by=make.user("staff@example.com"))
    assert (made.reason, made.written_off_nano) == ("Paid by another card.", 0)
    assert made.frozen_because == disputes.BECAUSE
    assert ledger.wallet_of(alice.pk).free_nano == 2 * NANO
    place(alice, 2 * NANO)
    assert invariants.run() == []


def test_or_written_off_as_bad_debt(lost: str, alice: Account) -> None:
    thaws.thaw(account=alice, reason="Goodwill.", decided_by=None, write_off=True)
    assert (ledger.wallet_of(alice.pk).balance_nano, frozen(alice)) == (0, False)
    assert balances.of(kind=LedgerAccount.Kind.BAD_DEBT) == -3 * NANO
    with pytest.raises(Conflict, match="not frozen"):
        thaws.thaw(account=alice, reason="Again.", decided_by=None, write_off=True)
    assert Thaw.objects.get().written_off_nano == 3 * NANO
    assert invariants.run() == []


def test_what_is_told_of_the_lost_dispute_again_freezes_nothing(lost: str, stripe: FakeStripe, alice: Account) -> None:
    thaws.thaw(account=alice, reason="Goodwill.", decided_by=None, write_off=True)
    late = {"id": "evt_late", "type": "charge.dispute.closed", "data": {"object": {"id": lost}}}
    assert inbox.receive(late)
    assert not frozen(alice)
    assert refunds.refundable_cents(alice.topups.get()) == 0  # what the bank took is not given back once more


def test_the_banks_word_is_waited_for(stripe: FakeStripe, post: Post, alice: Account) -> None:
    intent = stripe.world.pay(begin(alice).session_id)
    stripe.deliver(post)
    stripe.world.dispute(intent["id"])
    stripe.deliver(post)
    with pytest.raises(Conflict, match="has not decided on dispute dp_"):
        thaws.thaw(account=alice, reason="Please.", decided_by=None, write_off=True)
    assert frozen(alice)
    assert not Thaw.objects.exists()


def test_money_that_requests_hold_is_covered_before(stripe: FakeStripe, alice: Account) -> None:
    fund(alice, "1.00")
    place(alice, NANO)
    ledger.take_back(account_id=alice.pk, amount_nano=NANO // 2, because="A payment was refunded after use.")
    assert frozen(alice)
    with pytest.raises(Conflict, match=r"still hold \$1\.00"):
        thaws.thaw(account=alice, reason="Please.", decided_by=None)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_a_reason_is_asked_for(lost: str, alice: Account, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="Say why"):
        thaws.thaw(account=alice, reason=reason, decided_by=None, write_off=True)


def test_the_command_does_the_same(lost: str, alice: Account, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"owes \$3\.00"):
        call_command("thaw_wallet", alice.slug, "--reason", "Goodwill.")
    with pytest.raises(CommandError, match="no account 'nobody'"):
        call_command("thaw_wallet", "nobody", "--reason", "Goodwill.")
    call_command("thaw_wallet", alice.slug, "--reason", "Goodwill.", "--write-off")
    assert capsys.readouterr().out == f"{alice.slug} takes requests again, $3.00 written off.\n"
    with pytest.raises(PaymentRequired) as refused:  # for want of money now, no longer for the dispute
        place(alice, 1)
    assert "disputed" not in refused.value.message


class TestStaffsPage:
    """The same decision at /staff."""

    @pytest.fixture
    def staff(self, db: None) -> Client:
        user = make.user("staff@example.com")
        user.is_staff = user.is_superuser = True
        user.save()
        client = Client()
        client.force_login(user)
        return client

    def test_it_shows_the_case_and_keeps_who_decided(self, lost: str, staff: Client, alice: Account) -> None:
        wallet = ledger.wallet_of(alice.pk)
        assert (
            f"/staff/billing/wallet/{wallet.pk}/thaw/"
            in staff.get(f"/staff/billing/wallet/{wallet.pk}/change/").content.decode()
        )
        page = staff.get(f"/staff/billing/wallet/{wallet.pk}/thaw/").content.decode()
        assert f"Dispute {lost}: lost" in page
        assert "debt $3.00" in page
        refused = staff.post(f"/staff/billing/wallet/{wallet.pk}/thaw/", {"reason": "Goodwill."})
        assert (refused.status_code, b"owes $3.00" in refused.content) == (422, True)
        done = staff.post(f"/staff/billing/wallet/{wallet.pk}/thaw/", {"reason": "Goodwill.", "write_off": "on"})
        assert done.status_code == 302
        made = Thaw.objects.get()
        assert made.decided_by is not None
        assert (made.decided_by.email, made.reason) == ("staff@example.com", "Goodwill.")
        assert "Goodwill." in staff.get("/staff/billing/thaw/").content.decode()
        assert "Thawed: Goodwill." in staff.get(f"/staff/billing/wallet/{wallet.pk}/history/").content.decode()
        assert lost in staff.get("/staff/billing/dispute/").content.decode()

    def test_staff_without_the_right_may_not(self, lost: str, alice: Account) -> None:
        user = make.user("looks@example.com")
        user.is_staff = True
        user.save()
        client = Client()
        client.force_login(user)
        answer = client.post(f"/staff/billing/wallet/{ledger.wallet_of(alice.pk).pk}/thaw/", {"reason": "x"})
        assert answer.status_code == 403
        assert frozen(alice)
