"""Invoices against the books: a month is settled once, and the difference has a name."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from billing import invariants
from billing.models import LedgerAccount, PaidInvoice, Recipient
from billing.services import balances, earnings, margin, payables, payouts
from billing.services.payables import Payable
from marketplace.lib.errors import Conflict, InvalidRequest, NotFound
from marketplace.lib.money import NANO
from marketplace.models import Account
from tests.factories import marketplace as make
from tests.factories.billing import fund, sell

Kind = LedgerAccount.Kind
CENT = 10_000_000


@pytest.fixture
def operator(db: None, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Earned $950 and $95 with two providers and $10 as a publisher in October; it is November now."""
    now = [dt.datetime(2026, 10, 20, tzinfo=dt.UTC)]
    monkeypatch.setattr("django.utils.timezone.now", lambda: now[0])
    account, payer = make.account(email="op@example.com", slug="op"), make.account(email="payer@example.com")
    fund(payer, "5000.00")
    sell(payer, "1000.00", to=account, provider="big", model="acme/one", endpoint=1)
    sell(payer, "100.00", to=account, provider="small", model="acme/one", endpoint=2)
    sell(payer, "100.00", to=account, side="publisher_payable", bps=1_000, model="op/faces")
    now[0] = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    sell(payer, "10.00", to=account, provider="big", model="acme/one", endpoint=1)
    return account


def october(provider: str = "big", side: str = "provider_payable") -> Payable:
    """The month as staff see it."""
    return payables.find(slug="op", side=side, provider=provider, year=2026, month=10)


def record(payable: Payable, cents: int = 95_000, **changed: Any) -> PaidInvoice:
    """An invoice of so many cents that was paid on the second."""
    told: dict[str, Any] = {"invoice": "R-17", "paid_on": dt.date(2026, 11, 2)} | changed
    return payables.record(payable=payable, invoice_cents=cents, recorded_by=make.user("staff@example.com"), **told)


def test_an_invoice_as_the_books_say_settles_the_month(operator: Account) -> None:
    (line,) = payables.lines(october())
    assert (line.model, line.endpoint, line.total.gross_nano) == ("acme/one", 1, 1000 * NANO)
    record(october())
    assert balances.of(kind=Kind.PROVIDER_PAYABLE, owner_id=operator.pk) == (9500 + 950) * CENT
    assert balances.of(kind=Kind.BANK) == 950 * NANO
    assert balances.of(kind=Kind.SETTLEMENT_LOSS) == 0
    month = earnings.settlement(account_id=operator.pk, year=2026, month=11)
    assert (month.opening_nano, month.paid_nano) == (1055 * NANO, 950 * NANO)
    rows = {(row.month.month, row.side, row.provider): row.paid for row in payables.listed()}
    assert {name for name, paid in rows.items() if paid} == {(10, "provider_payable", "big")}
    assert len(rows) == 4
    assert invariants.run() == []
    PaidInvoice.objects.update(invoice_cents=1)
    assert [one.check for one in invariants.run()] == ["invoices_equal_their_entries"]


@pytest.mark.parametrize("cents", [95_100, 94_000])
def test_a_difference_is_named_and_booked_when_it_is_accepted(operator: Account, cents: int) -> None:
    word = "more" if cents > 95_000 else "less"
    with pytest.raises(Conflict, match=rf"{word} than our books say \(\$950.00\)"):
        record(october(), cents)
    assert not PaidInvoice.objects.exists()
    made = record(october(), cents, accept_difference=True)
    assert made.difference_nano == (cents - 95_000) * CENT
    # The month is settled by what was earned; what was paid beyond it is ours to bear.
    assert balances.of(kind=Kind.PROVIDER_PAYABLE, owner_id=operator.pk) == (9500 + 950) * CENT
    assert balances.of(kind=Kind.SETTLEMENT_LOSS) == (95_000 - cents) * CENT
    assert margin.month(year=2026, month=11).losses_nano == (95_000 - cents) * CENT
    assert invariants.run() == []


def test_a_month_and_an_invoice_are_settled_once(operator: Account) -> None:
    record(october())
    with pytest.raises(Conflict, match="settled already"):
        record(october(), invoice="R-18")
    record(october("small"), 9_500)  # another provider counts its own invoices
    record(october("", "publisher_payable"), 1_000)
    assert PaidInvoice.objects.count() == 3
    assert invariants.run() == []


def test_what_is_not_over_or_was_paid_otherwise_is_refused(operator: Account) -> None:
    november = payables.find(slug="op", side="provider_payable", provider="big", year=2026, month=11)
    with pytest.raises(InvalidRequest, match="not over"):
        record(november)
    with pytest.raises(InvalidRequest, match="has been paid"):
        record(october(), paid_on=dt.date(2026, 11, 4))
    Recipient.objects.create(account=operator, recipient_id="acct_1", country="US", is_active=True)
    with pytest.raises(Conflict, match="through Stripe"):
        record(october())
    assert october().by_stripe
    Recipient.objects.update(is_active=False)
    for year, month, side, provider in (
        (2026, 9, "provider_payable", "big"),
        (2026, 10, "wallet", "big"),
        (2026, 10, "provider_payable", "other"),
        (2026, 13, "provider_payable", "big"),
    ):
        with pytest.raises(NotFound):
            payables.find(slug="op", side=side, provider=provider, year=year, month=month)


def test_what_a_payout_has_sent_is_not_paid_again(operator: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    Recipient.objects.create(account=operator, recipient_id="acct_1", country="US", is_active=True)
    monkeypatch.setattr(payouts, "_send", lambda payout: None)  # on its way
    monkeypatch.setattr("django.conf.settings.PAYOUT_DELAY_DAYS", 0)
    assert payouts.pay(operator.pk, available_cents=10**9)
    Recipient.objects.update(is_active=False)
    with pytest.raises(Conflict, match="still owed"):
        record(october())
    assert invariants.run() == []
