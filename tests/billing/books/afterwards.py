"""The part of the state machine that pays afterwards: limits, invoices, and what becomes of their payments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from billing.models import Invoice as InvoiceRow
from billing.services import debts, metered
from marketplace.lib.errors import Conflict
from marketplace.models import Account
from tests.billing.books.bank import DISPUTE_FEE, Bank
from tests.billing.books.model import CENT, Books, Invoice

# The place of the account that pays afterwards; it buys no credit.
METERED = 2


class Afterwards(RuleBasedStateMachine):
    """What the third account, staff and its bank do."""

    accounts: list[Account]
    bank: Bank
    books: Books
    do: Callable[[Callable[[], Any]], Any]

    @rule(dollars=st.sampled_from([0, 1, 5, 50]))
    def limit(self, dollars: int) -> None:
        """Staff decide how far the third account may go below zero."""
        account, limit = self.accounts[METERED], dollars * 1_000_000_000
        may = self.books.may_decide(account.pk, limit)

        def decide() -> bool:
            try:
                metered.decide(account=account, credit_limit_nano=limit, reason="A step.", decided_by=None)
            except Conflict:
                return False
            return True

        assert self.do(decide) is may
        if may:
            self.books.limits[account.pk] = limit

    @rule(micro=st.integers(0, 4_000_000))
    def invoice(self, micro: int) -> None:
        self.bank.ask(self.accounts[METERED].pk, micro)

    @precondition(lambda self: self.unpaid_invoices())
    @rule(data=st.data(), ends=st.sampled_from(["paid", "refused", "void", "uncollectible"]))
    def end_invoice(self, data: st.DataObject, ends: str) -> None:
        """It is paid, the last card was refused, or somebody gives it up: then it may still be paid."""
        name = data.draw(st.sampled_from(self.unpaid_invoices()))
        if ends in {"void", "uncollectible"}:
            self.bank.end_invoice(name, ends)
        else:
            (self.bank.pay_invoice if ends == "paid" else self.bank.refuse_invoice)(name)

    @precondition(lambda self: self.returnable())
    @rule(data=st.data(), cents=st.integers(1, 400), is_disputed=st.booleans())
    def return_payment(self, data: st.DataObject, cents: int, is_disputed: bool) -> None:
        """An invoice's payment is sent back in part, or the bank takes what is left of it."""
        name = data.draw(st.sampled_from(self.returnable()))
        left = self.left_of(name)
        if is_disputed:
            self.bank.dispute(f"pi_{name}", cents=left)
        else:
            self.bank.send_back(f"pi_{name}", min(cents, left))

    @precondition(lambda self: self.sent_back())
    @rule(data=st.data())
    def fail_refund(self, data: st.DataObject) -> None:
        """The card does not take what was sent back."""
        self.bank.end_refund(data.draw(st.sampled_from(self.sent_back())), "failed")

    @precondition(lambda self: self.books.invoices)
    @rule(data=st.data())
    def write_off(self, data: st.DataObject) -> None:
        """Staff give up what is owed of an invoice."""
        name = data.draw(st.sampled_from(list(self.books.invoices)))
        invoice = self.books.invoices[name]
        may = invoice.state != "open" and self.books.owed(invoice) > 0

        def decide() -> bool:
            try:
                debts.write_off(invoice=InvoiceRow.objects.get(pk=name), reason="A step.", decided_by=None)
            except Conflict:
                return False
            return True

        assert self.do(decide) is may
        if may:
            self.books.write_off(invoice)

    # -- what the model makes of what is told

    def apply_invoice(self, name: str) -> Invoice:
        told = self.bank.invoices[name]
        account, micro = self.accounts[METERED].pk, told.lines[0].quantity
        now = Invoice(account, micro, told.amount_cents, state=told.status, is_late=told.has_given_up)
        self.books.invoiced(name, now)
        return self.books.invoices[name]

    def apply_invoice_refund(self, refund_id: str, invoice: Invoice) -> None:
        told = self.bank.refunds[refund_id]
        if told.status == "succeeded":
            if refund_id not in invoice.back:
                self.books.go_back(refund_id, invoice, told.amount_cents)
                invoice.refunded += told.amount_cents
        elif invoice.back.get(refund_id):
            self.books.come_back(refund_id, invoice, told.amount_cents)
            invoice.refunded -= told.amount_cents

    def apply_invoice_dispute(self, dispute_id: str, invoice: Invoice) -> None:
        told = self.bank.disputes[dispute_id]
        self.books.disputes[dispute_id] = (invoice.account, told.status)
        if told.status == "won":
            self.books.come_back(dispute_id, invoice, told.amount_cents)
            self.books.thaw(invoice.account)
            return
        self.books.frozen.add(invoice.account)
        if dispute_id not in invoice.back:
            self.books.go_back(dispute_id, invoice, told.amount_cents)
            self.books.house["fees"] -= DISPUTE_FEE * CENT
            self.books.house["stripe_clearing"] += DISPUTE_FEE * CENT

    # -- what there is to choose from

    def unpaid_invoices(self) -> list[str]:
        return [one.id for one in self.bank.invoices.values() if one.status in {"open", "uncollectible"}]

    def left_of(self, name: str) -> int:
        """The cents of an invoice's payment that are with us."""
        told = [one for one in self.bank.refunds.values() if one.payment_intent_id == f"pi_{name}"]
        gone = sum(one.amount_cents for one in told if one.status != "failed")
        return self.bank.invoices[name].amount_cents - gone

    def returnable(self) -> list[str]:
        paid = [one.id for one in self.bank.invoices.values() if one.status == "paid"]
        return [one for one in paid if f"dp_pi_{one}" not in self.bank.disputes and self.left_of(one) > 0]

    def sent_back(self) -> list[str]:
        """Refunds of invoices that may still fail, while nothing was disputed."""
        told = {one.payment_intent_id for one in self.bank.disputes.values()}
        mine = [one for one in self.bank.refunds.values() if self.bank.paid_by(one.payment_intent_id)]
        return [one.id for one in mine if one.status == "succeeded" and one.payment_intent_id not in told]
