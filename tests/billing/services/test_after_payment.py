"""What becomes of a post-paid invoice after its payment, or without one: sent back, disputed, void, given up."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from billing import invariants
from billing.models import Dispute, Invoice, LedgerAccount, Refund, Wallet, WriteOff
from billing.services import balances, debts, disputes, ledger, metered, thaws, topups, walk
from marketplace.lib.errors import Conflict, InvalidRequest, PaymentRequired
from marketplace.lib.money import NANO, NANO_PER_CENT
from marketplace.models import Account
from tests.billing.conftest import Post
from tests.billing.services.test_holds import place
from tests.billing.services.test_metered import allow, frozen, invoiced, spend
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe

_Kind = LedgerAccount.Kind
USED = 3_004_999_000  # of which an invoice makes $3.00
TAX = 30


@pytest.fixture
def owing(stripe: FakeStripe, alice: Account) -> Iterator[Account]:
    """Alice pays afterwards, up to $10, and has used $3.004999; in the end the books are sound and Stripe's."""
    topups.customer_of(account=alice, user=make.user("alice@example.com"))
    allow(alice)
    spend(alice, USED)
    yield alice
    walk.walk()
    balances.advance()
    assert walk.difference_cents() == 0
    assert invariants.run() == []


@pytest.fixture
def paid(stripe: FakeStripe, post: Post, owing: Account) -> str:
    """The payment of the invoice for it: $3.30 with tax."""
    invoice_id = invoiced(stripe, owing, tax=TAX)
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post)
    assert balance(owing) == 0
    return stripe.world.payment_of(invoice_id)


def balance(account: Account) -> int:
    return ledger.wallet_of(account.pk).balance_nano


def house(kind: str) -> int:
    return balances.of(kind=kind)


# -- sent back


def test_what_is_sent_back_is_owed_again_by_its_part(stripe: FakeStripe, post: Post, paid: str, owing: Account) -> None:
    stripe.world.send_back(paid, 110)
    stripe.deliver(post, copies=2)
    row = Refund.objects.get()
    assert (row.amount_cents, row.tax_cents, row.fee_cents) == (100, 10, 0)
    third = USED * 100 // 300
    assert (balance(owing), Invoice.objects.get().taken_nano) == (-third, third)
    assert house(_Kind.TAX_PAYABLE) == 20 * NANO_PER_CENT
    stripe.world.send_back(paid, 220)
    stripe.deliver(post, copies=2)
    # All of it: the wallet owes what it owed before, and the cents' difference is gone with the payment.
    assert balance(owing) == -USED
    assert (house(_Kind.SETTLEMENT_LOSS), house(_Kind.TAX_PAYABLE)) == (0, 0)
    assert not frozen(owing)
    with pytest.raises(PaymentRequired):
        place(owing, 7 * NANO)


def test_more_than_the_limit_sent_back_freezes(stripe: FakeStripe, post: Post, paid: str, owing: Account) -> None:
    allow(owing, 1)
    stripe.world.send_back(paid, 330)
    stripe.deliver(post)
    assert frozen(owing)
    assert "refunded after use" in ledger.wallet_of(owing.pk).frozen_because


def test_a_refund_that_the_card_does_not_take_comes_again(
    stripe: FakeStripe, post: Post, paid: str, owing: Account
) -> None:
    refund_id = stripe.world.send_back(paid, 330)
    stripe.deliver(post)
    stripe.world.fail_refund(refund_id)
    stripe.deliver(post, copies=3)
    row = Invoice.objects.get()
    assert (balance(owing), row.taken_nano, row.refunded_cents, row.refunded_tax_cents) == (0, 0, 0, 0)
    assert house(_Kind.TAX_PAYABLE) == TAX * NANO_PER_CENT


# -- disputed


def test_a_dispute_freezes_takes_the_money_and_won_gives_it_again(
    stripe: FakeStripe, post: Post, paid: str, owing: Account
) -> None:
    dispute_id = stripe.world.dispute(paid)
    stripe.deliver(post, copies=2)
    assert (balance(owing), frozen(owing)) == (-USED, True)
    assert ledger.wallet_of(owing.pk).frozen_because == disputes.BECAUSE_OF_INVOICE
    stripe.world.submit_evidence(dispute_id)
    stripe.deliver(post)
    assert Dispute.objects.get().state == "under_review"
    with pytest.raises(Conflict, match="has not decided"):
        thaws.thaw(account=owing, reason="In a hurry.", decided_by=None)
    stripe.world.judge(dispute_id, won=True)
    stripe.deliver(post, copies=2, shuffled=random.Random(2))
    assert (balance(owing), frozen(owing), Invoice.objects.get().taken_nano) == (0, False, 0)
    assert house(_Kind.TAX_PAYABLE) == TAX * NANO_PER_CENT
    assert house(_Kind.FEES) == -15 * NANO  # the bank's, whoever wins; Stripe's own fee comes with the walk


def test_a_lost_dispute_is_owed_until_it_is_written_off(
    stripe: FakeStripe, post: Post, paid: str, owing: Account
) -> None:
    stripe.world.judge(stripe.world.dispute(paid), won=False)
    stripe.deliver(post)
    assert (balance(owing), frozen(owing)) == (-USED, True)
    made = debts.write_off(invoice=Invoice.objects.get(), reason="Gone.", decided_by=None)
    assert (made.amount_nano, balance(owing), house(_Kind.BAD_DEBT)) == (USED, 0, -USED)
    assert frozen(owing)  # which is another decision
    thaws.thaw(account=owing, reason="A new owner.", decided_by=None)
    place(owing, NANO)


def test_what_is_won_after_it_was_written_off_is_no_bad_debt_any_more(
    stripe: FakeStripe, post: Post, paid: str, owing: Account
) -> None:
    dispute_id = stripe.world.dispute(paid)
    stripe.deliver(post)
    debts.write_off(invoice=Invoice.objects.get(), reason="We thought it lost.", decided_by=None)
    spend_nothing_more = balance(owing)
    stripe.world.judge(dispute_id, won=True)
    stripe.deliver(post, copies=2)
    assert balance(owing) == spend_nothing_more == 0
    assert (house(_Kind.BAD_DEBT), Invoice.objects.get().written_off_nano) == (0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_what_is_told_makes_the_same_books(
    stripe: FakeStripe, post: Post, owing: Account, seed: int
) -> None:
    """Nothing was delivered before: paid, a third sent back, one refund failing, the rest disputed and lost."""
    invoice_id = invoiced(stripe, owing, tax=TAX)
    stripe.world.pay_invoice(invoice_id)
    payment = stripe.world.payment_of(invoice_id)
    stripe.world.send_back(payment, 110)
    stripe.world.fail_refund(stripe.world.send_back(payment, 50))
    stripe.deliver(post, copies=2, shuffled=random.Random(seed), drop=lambda kind: seed % 2 == 0 and "invoice" in kind)
    assert Refund.objects.filter(state="succeeded").count() == 1
    third = USED * 100 // 300
    assert (balance(owing), Invoice.objects.get().taken_nano) == (-third, third)


# -- without a payment


def test_a_void_invoice_asks_for_nothing_and_what_was_used_is_owed(
    stripe: FakeStripe, post: Post, owing: Account
) -> None:
    invoice_id = invoiced(stripe, owing)
    stripe.world.refuse_invoice(invoice_id, for_good=True)
    stripe.deliver(post)
    assert frozen(owing)
    stripe.world.void_invoice(invoice_id)
    stripe.deliver(post, copies=2)
    assert (frozen(owing), balance(owing)) == (False, -USED)
    assert metered.open_invoices(account_id=owing.pk) == []
    standing = metered.standing(account_id=owing.pk)
    assert standing is not None
    assert (standing.asked_nano, standing.uninvoiced_nano) == (0, USED)
    debts.write_off(invoice=Invoice.objects.get(), reason="Our mistake.", decided_by=None)
    assert (balance(owing), house(_Kind.BAD_DEBT)) == (0, -USED)
    with pytest.raises(Conflict, match="Nothing of this invoice is owed"):
        debts.write_off(invoice=Invoice.objects.get(), reason="Again.", decided_by=None)


def test_paid_after_all_what_was_written_off_is_no_bad_debt_any_more(
    stripe: FakeStripe, post: Post, owing: Account
) -> None:
    invoice_id = invoiced(stripe, owing)
    stripe.world.give_up_invoice(invoice_id)
    stripe.deliver(post)
    with pytest.raises(Conflict, match="An invoice is still open"):
        metered.decide(account=owing, credit_limit_nano=0, reason="No more.", decided_by=None)
    thaws.thaw(account=owing, reason="They will pay.", decided_by=None)
    debts.write_off(invoice=Invoice.objects.get(), reason="They did not.", decided_by=None)
    metered.decide(account=owing, credit_limit_nano=0, reason="No more.", decided_by=None)
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post, copies=2)
    assert (balance(owing), house(_Kind.BAD_DEBT)) == (0, 0)
    assert Invoice.objects.get().written_off_nano == 0


def test_never_more_is_written_off_than_the_wallet_owes(stripe: FakeStripe, post: Post, owing: Account) -> None:
    stripe.world.give_up_invoice(invoiced(stripe, owing))
    stripe.deliver(post)
    Wallet.objects.filter(account=owing).update(credit_limit_nano=2 * NANO)  # beyond it since
    thaws.thaw(account=owing, reason="A part.", decided_by=None, write_off=True)
    made = debts.write_off(invoice=Invoice.objects.get(), reason="The rest.", decided_by=None)
    assert (made.amount_nano, balance(owing)) == (2 * NANO, 0)
    Wallet.objects.filter(account=owing).update(credit_limit_nano=10 * NANO)


# -- the decision


def test_what_stripe_still_asks_for_is_not_written_off(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoiced(stripe, owing)
    stripe.deliver(post)
    with pytest.raises(Conflict, match="Stripe still asks"):
        debts.write_off(invoice=Invoice.objects.get(), reason="Too early.", decided_by=None)
    with pytest.raises(InvalidRequest, match="Say why"):
        debts.write_off(invoice=Invoice.objects.get(), reason=" ", decided_by=None)
    assert not WriteOff.objects.exists()


def test_the_command_does_the_same(
    stripe: FakeStripe, post: Post, owing: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    stripe.world.void_invoice(invoiced(stripe, owing))
    stripe.deliver(post)
    number = Invoice.objects.get().number
    call_command("write_off", number, "--reason", "Our mistake.")
    assert capsys.readouterr().out == f"$3.004999 of {number}: void is written off for {owing.slug}.\n"
    for wrong in (number, "in_nothing"):
        with pytest.raises(CommandError):
            call_command("write_off", wrong, "--reason", "Again.")


def test_staffs_page_keeps_who_decided(stripe: FakeStripe, post: Post, owing: Account) -> None:
    user = make.user("staff@example.com")
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    invoice_id = invoiced(stripe, owing)
    page = f"/staff/billing/invoice/{invoice_id}/write-off/"
    stripe.deliver(post)
    assert "Nothing of it can be written off now" in client.get(page).content.decode()
    assert client.post(page, {"reason": "Too early."}).status_code == 422
    stripe.world.void_invoice(invoice_id)
    stripe.deliver(post)
    assert "$3.004999 of the usage behind it is owed" in client.get(page).content.decode()
    assert "$3.004999" in client.get("/staff/billing/invoice/").content.decode()
    assert client.post(page, {"reason": "Our mistake."}).status_code == 302
    made = WriteOff.objects.get()
    assert (made.decided_by, made.reason) == (user, "Our mistake.")
    assert "Our mistake." in client.get("/staff/billing/writeoff/").content.decode()
    assert "Our mistake." in client.get(page).content.decode()
    assert "Write it off" not in client.get(page).content.decode()
    shown = client.get(f"/staff/billing/invoice/{invoice_id}/change/").content.decode()
    assert "$3.004999" in shown
    assert "3004999000" not in shown
    user.is_superuser = False
    user.save()
    assert client.get(page).status_code == 403


def test_a_debt_that_no_entry_knows_is_a_violation(stripe: FakeStripe, post: Post, paid: str) -> None:
    Invoice.objects.update(taken_nano=5, written_off_nano=7)
    assert [one.check for one in invariants.run()] == ["debts_of_invoices_equal_their_entries"] * 2
    Invoice.objects.update(taken_nano=0, written_off_nano=0)
