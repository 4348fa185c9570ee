"""Post-paid accounts: staff's decision, the limit that holds draw on, and invoices that fill or freeze the wallet."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from billing import invariants
from billing.models import Delivery, Invoice, LedgerAccount, Terms, Wallet
from billing.services import (
    auto_topups,
    balances,
    deliveries,
    holds,
    invoices,
    ledger,
    metered,
    months,
    subscriptions,
    topups,
    walk,
)
from marketplace.lib.errors import Conflict, InvalidRequest, PaymentRequired
from marketplace.lib.money import NANO, NANO_PER_CENT
from marketplace.models import Account
from tests.billing.conftest import Post, begin, with_card
from tests.billing.services.test_holds import cost, place
from tests.factories import marketplace as make
from tests.factories.billing import fund
from tests.fakes.stripe import FakeStripe

_Kind = LedgerAccount.Kind


def allow(account: Account, dollars: int = 10) -> Terms:
    return metered.decide(
        account=account, credit_limit_nano=dollars * NANO, reason="A known customer.", decided_by=None
    )


def spend(account: Account, nano: int) -> None:
    holds.settle(hold_id=place(account, nano).pk, rated=cost(nano))


def frozen(account: Account) -> bool:
    return Wallet.objects.get(account=account).is_frozen


@pytest.fixture
def owing(stripe: FakeStripe, alice: Account, django_capture_on_commit_callbacks: object) -> Account:
    """Alice pays afterwards, up to $10, and has used $3.004999."""
    topups.customer_of(account=alice, user=make.user("alice@example.com"))
    allow(alice)
    spend(alice, 3_004_999_000)
    return alice


def invoiced(stripe: FakeStripe, account: Account, **more: int) -> str:
    customer = account.customer.customer_id
    used = {"price_text": 2_004_999, "price_media": 1_000_000}
    return stripe.world.write_invoice(customer, "sub_1", used, **more)


# -- the decision


def test_holds_draw_on_the_limit_and_never_beyond_it(alice: Account) -> None:
    allow(alice, 2)
    spend(alice, NANO)
    place(alice, NANO)
    with pytest.raises(PaymentRequired):
        place(alice, 1)
    assert ledger.wallet_of(alice.pk).balance_nano == -NANO
    assert invariants.run() == []


def test_a_charge_beyond_hold_and_limit_is_bad_debt(alice: Account) -> None:
    allow(alice, 1)
    hold = place(alice, NANO)
    made = holds.settle(hold_id=hold.pk, rated=cost(3 * NANO))
    assert made is not None
    assert (made.amount_nano, made.bad_debt_nano) == (NANO, 2 * NANO)
    assert invariants.run() == []


def test_the_limit_is_not_less_than_what_is_owed(owing: Account) -> None:
    with pytest.raises(Conflict, match=r"\$3\.004999 is owed or held"):
        allow(owing, 3)
    with pytest.raises(Conflict, match="owed or held"):
        allow(owing, 0)
    allow(owing, 4)
    assert ledger.wallet_of(owing.pk).free_nano == 995_001_000


def test_prepaid_again_needs_the_invoices_paid(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoiced(stripe, owing)
    stripe.deliver(post)
    fund(owing, "5.00")
    with pytest.raises(Conflict, match="An invoice is still open"):
        allow(owing, 0)


def test_automatic_top_up_ends_with_the_decision(stripe: FakeStripe, alice: Account) -> None:
    with_card(stripe, alice)
    allow(alice)
    assert auto_topups.due() == []


@pytest.mark.parametrize(("limit", "reason"), [(-1, "x"), (metered.MOST_NANO + 1, "x"), (NANO, " "), (NANO, "x" * 301)])
def test_what_is_no_decision_is_refused(alice: Account, limit: int, reason: str) -> None:
    with pytest.raises(InvalidRequest):
        metered.decide(account=alice, credit_limit_nano=limit, reason=reason, decided_by=None)
    assert not Terms.objects.exists()


def test_a_frozen_wallet_is_thawed_first(alice: Account) -> None:
    ledger.wallet_of(alice.pk)
    ledger.freeze(account_id=alice.pk, because="Because.")
    with pytest.raises(Conflict, match=r"frozen\. Because\."):
        allow(alice)


def test_the_command_does_the_same(alice: Account, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("credit_limit", alice.slug, "250", "--reason", "A known customer.")
    assert capsys.readouterr().out == f"{alice.slug} pays by invoice, up to $250.00.\n"
    call_command("credit_limit", alice.slug, "0", "--reason", "Asked for it.")
    assert capsys.readouterr().out == f"{alice.slug} is prepaid.\n"
    for wrong in (["nobody", "1"], [alice.slug, "much"], [alice.slug, "10000000"]):
        with pytest.raises(CommandError):
            call_command("credit_limit", *wrong, "--reason", "x")


def test_staffs_page_keeps_who_decided(alice: Account) -> None:
    user = make.user("staff@example.com")
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    page = f"/staff/billing/wallet/{ledger.wallet_of(alice.pk).pk}/limit/"
    assert "Prepaid." in client.get(page).content.decode()
    assert client.post(page, {"credit_limit": "-1", "reason": "x"}).status_code == 422
    assert client.post(page, {"credit_limit": "20", "reason": "A known customer."}).status_code == 302
    made = Terms.objects.get()
    assert (made.credit_limit_nano, made.decided_by) == (20 * NANO, user)
    assert "up to $20.00" in client.get(page).content.decode()
    assert "A known customer." in client.get("/staff/billing/terms/").content.decode()
    spend(alice, 5 * NANO)
    refused = client.post(page, {"credit_limit": "1", "reason": "Less."})
    assert (refused.status_code, b"owed or held" in refused.content) == (422, True)


def test_a_limit_that_nobody_decided_is_a_violation(alice: Account) -> None:
    Wallet.objects.filter(pk=ledger.wallet_of(alice.pk).pk).update(credit_limit_nano=5)
    assert [one.check for one in invariants.run()] == ["limits_equal_the_last_decision"]


# -- invoices


def test_an_invoice_books_nothing_and_its_payment_fills_the_wallet(
    stripe: FakeStripe, post: Post, owing: Account
) -> None:
    invoice_id = invoiced(stripe, owing)
    stripe.deliver(post)
    row = Invoice.objects.get()
    assert (row.pk, row.account, row.state, row.usage_nano) == (invoice_id, owing, "open", 3_004_999_000)
    assert row.amount_cents == 300  # $2.004999 and $1: each line rounded half up
    assert ledger.wallet_of(owing.pk).balance_nano == -3_004_999_000
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post, copies=3, shuffled=random.Random(7))
    assert ledger.wallet_of(owing.pk).balance_nano == 0
    balances.advance()
    assert balances.of(kind=_Kind.STRIPE_CLEARING) == -3 * NANO
    assert balances.of(kind=_Kind.SETTLEMENT_LOSS) == -4_999_000  # what the cents are short of the usage
    assert walk.walk().fees == 1
    assert stripe.world.balance_cents() == 300 - 38  # Stripe's fee, booked with the nightly walk
    assert walk.difference_cents() == 0
    now = timezone.now()
    month = months.statement(account=owing, year=now.year, month=now.month)
    assert [(one.title, one.amount_nano) for one in month.movements] == [("Invoices paid", 3_004_999_000)]
    assert invariants.run() == []


def test_tax_and_a_payment_by_bank_are_booked_as_such(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoice_id = invoiced(stripe, owing, tax=30)
    stripe.world.pay_invoice(invoice_id, off_stripe=True)
    stripe.deliver(post)
    balances.advance()
    assert balances.of(kind=_Kind.BANK) == -330 * NANO_PER_CENT
    assert balances.of(kind=_Kind.TAX_PAYABLE) == 30 * NANO_PER_CENT
    assert balances.of(kind=_Kind.STRIPE_CLEARING) == 0
    assert ledger.wallet_of(owing.pk).balance_nano == 0
    assert invariants.run() == []


def mailed() -> list[str]:
    """The subjects of all mails, once those that are due were sent."""
    for row in Delivery.objects.order_by("pk"):
        deliveries.deliver(delivery_id=row.pk)
    return [str(one.subject) for one in mail.outbox]


def test_a_refused_card_is_told_and_given_up_it_freezes_until_paid(
    stripe: FakeStripe, post: Post, owing: Account
) -> None:
    invoice_id = invoiced(stripe, owing)
    stripe.world.refuse_invoice(invoice_id)
    stripe.deliver(post, copies=2)
    assert mailed() == ["Invoice not paid"]
    assert not frozen(owing)
    place(owing, NANO)
    stripe.world.refuse_invoice(invoice_id, for_good=True)
    stripe.deliver(post, copies=2)
    assert mailed()[1:] == ["Invoice not paid", "Invoice overdue"]
    with pytest.raises(PaymentRequired, match="overdue"):
        place(owing, 1)
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post)
    assert not frozen(owing)
    assert not Invoice.objects.get().is_overdue
    assert invariants.run() == []


def test_a_day_that_passes_without_a_word_freezes_once(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoiced(stripe, owing, due_in=3600)
    stripe.deliver(post)
    assert invoices.freeze_overdue() == 0
    later = timezone.now() + dt.timedelta(hours=2)
    assert invoices.freeze_overdue(later) == 1
    assert frozen(owing)
    ledger.thaw(account_id=owing.pk)  # staff have decided
    assert invoices.freeze_overdue(later) == 0
    assert not frozen(owing)


def test_what_is_not_to_be_collected_keeps_the_wallet_frozen(stripe: FakeStripe, post: Post, alice: Account) -> None:
    before = begin(alice).session_id
    allow(alice)
    spend(alice, NANO)
    owing = alice
    stripe.world.give_up_invoice(invoiced(stripe, owing))
    stripe.deliver(post)
    assert frozen(owing)
    # A dispute that is won thaws for itself, not for the invoice.
    intent = stripe.world.pay(before)
    dispute_id = stripe.world.dispute(intent["id"])
    stripe.deliver(post)
    stripe.world.judge(dispute_id, won=True)
    stripe.deliver(post)
    assert frozen(owing)
    assert invariants.run() == []


def test_there_is_nothing_to_top_up(stripe: FakeStripe, owing: Account) -> None:
    with pytest.raises(InvalidRequest, match="pays by invoice"):
        begin(owing)
    with pytest.raises(InvalidRequest, match="pays by invoice"):
        with_card(stripe, owing)


# -- the page


def shown(client: Client) -> str:
    return client.get("/credits").content.decode()


def test_the_credits_page_shows_limit_open_amount_and_invoices(stripe: FakeStripe, post: Post, owing: Account) -> None:
    client = Client()
    client.force_login(make.user("alice@example.com"))
    page = shown(client)
    assert "Paid by invoice" in page
    assert "$10.00" in page
    assert "Invoicing begins within some minutes" in page
    assert "Continue to payment" not in page
    subscriptions.sync()
    page = shown(client)
    assert "invoices come by mail and are due within 14 days" in page
    assert "Next invoice" in page
    invoice_id = invoiced(stripe, owing, tax=30)
    spend(owing, NANO)
    stripe.deliver(post)
    page = shown(client)
    assert "$3.30" in page  # the invoice
    assert "$3.004999" in page  # the usage behind it
    assert "$1.00" in page  # used since
    assert 'href="https://invoice.stripe.com/i/test"' in page
    stripe.world.pay_invoice(invoice_id)
    stripe.deliver(post)
    assert "Pay</a>" not in shown(client)


def test_a_card_is_saved_and_invoices_are_charged_to_it(stripe: FakeStripe, post: Post, owing: Account) -> None:
    subscriptions.sync()
    client = Client()
    client.force_login(make.user("alice@example.com"))
    url = client.post("/credits/card").headers["Location"]
    assert url.startswith("https://checkout.stripe.com/c/setup/")
    card = stripe.world.leave_card(url.rpartition("/")[2])
    stripe.deliver(post, copies=2)
    assert "Charged to Visa ending 4242" in shown(client)
    assert subscriptions.is_due()
    assert subscriptions.sync() == [f"~ card of {owing.slug}"]
    made = next(one for one in stripe.world.objects.values() if one["object"] == "subscription")
    assert (made["collection_method"], made["default_payment_method"]) == ("charge_automatically", card)
    assert not subscriptions.is_due()


def test_without_keys_no_card_is_saved(alice: Account, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    client = Client()
    client.force_login(make.user("alice@example.com"))
    assert client.post("/credits/card").headers["Location"] == "/credits"
    assert "Card payments are off here" in shown(client)


def test_a_prepaid_account_sees_nothing_of_invoices(alice: Account) -> None:
    client = Client()
    client.force_login(make.user("alice@example.com"))
    assert "Invoices" not in shown(client)


def test_without_keys_the_page_says_that_payments_are_off(alice: Account, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    allow(alice)
    client = Client()
    client.force_login(make.user("alice@example.com"))
    page = shown(client)
    assert "Card payments are off here" in page
    assert "Paid by invoice" in page


def test_invoices_of_others_and_of_top_ups_are_not_ours(stripe: FakeStripe, post: Post, owing: Account) -> None:
    stripe.world.pay_invoice(stripe.world.write_invoice("cus_other", "sub_1", {"price_text": 1_000_000}))
    stripe.world.pay_invoice(stripe.world.write_invoice(owing.customer.customer_id, "", {}))
    stripe.deliver(post)
    assert not Invoice.objects.exists()


def test_a_line_that_costs_other_than_it_counts_is_told(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoice_id = invoiced(stripe, owing)
    stripe.world.objects[invoice_id]["_lines"][0]["subtotal"] = 250
    stripe.deliver(post)
    assert Invoice.objects.get().problem == "2004999 micro-dollars cost 250 cents"


def test_a_paid_invoice_that_filled_nothing_is_a_violation(stripe: FakeStripe, post: Post, owing: Account) -> None:
    invoiced(stripe, owing)
    stripe.deliver(post)
    Invoice.objects.update(state=Invoice.State.PAID)
    assert [one.check for one in invariants.run()] == ["paid_usage_equals_its_entries"]
