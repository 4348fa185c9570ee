"""The outside world of the state machine: Stripe's side of each payment, and the events that tell of it.

Stands in for `client` and `returns` of `billing.gateways.stripe` in the same process; over sockets they are tested
elsewhere.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from itertools import count

from billing.gateways.stripe.client import Payment, Session
from billing.gateways.stripe.connect import Transferred
from billing.gateways.stripe.invoicing import Invoiced, Line
from billing.gateways.stripe.returns import Disputed, Refunded
from billing.gateways.stripe.transport import Rejected, Unreachable

DISPUTE_FEE = 1500


@dataclass
class Bank:
    """What Stripe would answer now, and the events on their way (as often as they are to come)."""

    payments: dict[str, Payment] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    refunds: dict[str, Refunded] = field(default_factory=dict)
    disputes: dict[str, Disputed] = field(default_factory=dict)
    transfers: dict[str, Transferred] = field(default_factory=dict)
    invoices: dict[str, Invoiced] = field(default_factory=dict)
    events: list[dict[str, object]] = field(default_factory=list)
    is_away: bool = False
    refuses: bool = False
    loses_answers: bool = False
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def customer(self, *, account_id: int, name: str, email: str) -> str:
        return f"cus_{account_id}"

    def checkout(self, *, topup_id: str, customer_id: str, amount_cents: int, fee_cents: int, **_: str) -> Session:
        made = Session(f"cs_{topup_id}", "https://checkout.stripe.com/", "open", False, "", topup_id)
        self.sessions[made.id] = made
        payment = Payment(f"pi_{topup_id}", "requires_payment_method", amount_cents + fee_cents, topup_id, customer_id)
        self.payments[payment.id] = payment
        return made

    def payment(self, payment_intent_id: str) -> Payment:
        self._answer()
        return self.payments[payment_intent_id]

    def session(self, session_id: str) -> Session:
        self._answer()
        return self.sessions[session_id]

    def refunded(self, refund_id: str) -> Refunded:
        self._answer()
        return self.refunds[refund_id]

    def disputed(self, dispute_id: str) -> Disputed:
        self._answer()
        return self.disputes[dispute_id]

    def refund(self, *, refund_id: str, payment_intent_id: str, amount_cents: int) -> Refunded:
        self._answer()
        made = Refunded(f"re_{refund_id}", "pending", amount_cents, payment_intent_id, refund_id)
        return self.refunds.setdefault(made.id, made)

    def transfer(self, *, payout_id: str, recipient_id: str, amount_cents: int) -> Transferred:
        self._answer()
        if self.refuses:
            raise Rejected("This account cannot be paid.")
        made = Transferred(f"tr_{payout_id}", amount_cents, payout_id)
        if made.id not in self.transfers:
            self.transfers[made.id] = made
            self._tell("transfer.created", made.id)
        if self.loses_answers:
            raise Unreachable("Stripe does not answer.")
        return self.transfers[made.id]

    def transfer_of(self, *, payout_id: str) -> Transferred | None:
        self._answer()
        return self.transfers.get(f"tr_{payout_id}")

    def transferred(self, transfer_id: str) -> Transferred:
        self._answer()
        return self.transfers[transfer_id]

    def invoice(self, invoice_id: str) -> Invoiced:
        self._answer()
        return self.invoices[invoice_id]

    def paid_by(self, payment_intent_id: str) -> str:
        """The invoice that a payment paid; their names say so."""
        name = payment_intent_id.removeprefix("pi_")
        return name if name in self.invoices else ""

    # -- what people and banks do

    def ask(self, account_id: int, micro: int) -> None:
        """A period ends: what was counted in it is asked for, in cents."""
        name, now = f"in_{next(self._numbers)}", dt.datetime.now(dt.UTC)
        cents = (micro + 5_000) // 10_000
        self.invoices[name] = Invoiced(
            id=name, customer_id=f"cus_{account_id}", subscription_id="sub_1", number=name, status="open",
            lines=(Line("price_text", micro, cents),), amount_cents=cents, tax_cents=0, paid_cents=0,
            off_stripe_cents=0, attempts=0, has_given_up=False, period_start=now, period_end=now, due_at=None,
            created_at=now, url="",
        )  # fmt: skip
        self._tell("invoice.finalized", name)

    def pay_invoice(self, name: str) -> None:
        before = self.invoices[name]
        self.invoices[name] = replace(before, status="paid", paid_cents=before.amount_cents, has_given_up=False)
        self.payments[f"pi_{name}"] = Payment(
            f"pi_{name}", "succeeded", before.amount_cents, topup_id="", customer_id=before.customer_id
        )
        self._tell("invoice.paid", name)
        self._tell("invoice.payment_succeeded", name)

    def refuse_invoice(self, name: str) -> None:
        """The last card that is tried for it."""
        before = self.invoices[name]
        self.invoices[name] = replace(before, attempts=before.attempts + 1, has_given_up=True)
        self._tell("invoice.payment_failed", name)

    def end_invoice(self, name: str, status: str) -> None:
        """Somebody voids it, or gives it up."""
        self.invoices[name] = replace(self.invoices[name], status=status)
        self._tell("invoice.voided" if status == "void" else "invoice.marked_uncollectible", name)

    def send_back(self, payment_id: str, cents: int) -> str:
        """Somebody refunds a part of a payment in Stripe's dashboard."""
        made = Refunded(f"re_{next(self._numbers)}", "succeeded", cents, payment_id, "")
        self.refunds[made.id] = made
        self._tell("refund.created", made.id)
        return made.id

    def reverse(self, transfer_id: str, cents: int) -> None:
        before = self.transfers[transfer_id]
        taken = (f"trr_{next(self._numbers)}", cents)
        self.transfers[transfer_id] = replace(before, reversals=(*before.reversals, taken))
        self._tell("transfer.reversed", transfer_id)

    def pay(self, payment_id: str) -> None:
        before = self.payments[payment_id]
        line = f"txn_{payment_id}"
        self.payments[payment_id] = replace(
            before, status="succeeded", balance_transaction_id=line, stripe_fee_cents=fee_of(before.amount_cents)
        )
        session_id = f"cs_{before.topup_id}"
        paid = replace(self.sessions[session_id], status="complete", is_paid=True, payment_intent_id=payment_id)
        self.sessions[session_id] = paid
        self._tell("payment_intent.succeeded", payment_id)
        self._tell("checkout.session.completed", session_id)

    def end_refund(self, refund_id: str, status: str) -> None:
        self.refunds[refund_id] = replace(self.refunds[refund_id], status=status)
        self._tell("refund.updated", refund_id)

    def dispute(self, payment_id: str, *, cents: int = 0) -> str:
        """All of a payment, or what is left of it."""
        amount = cents or self.payments[payment_id].amount_cents
        made = Disputed(f"dp_{payment_id}", "needs_response", amount, payment_id, DISPUTE_FEE, True)
        self.disputes[made.id] = made
        self._tell("charge.dispute.created", made.id)
        self._tell("charge.dispute.funds_withdrawn", made.id)
        return made.id

    def judge(self, dispute_id: str, *, won: bool) -> None:
        before = self.disputes[dispute_id]
        status = "won" if won else "lost"
        self.disputes[dispute_id] = replace(before, status=status, is_withdrawn=not won)
        self._tell("charge.dispute.closed", dispute_id)

    def _tell(self, kind: str, object_id: str) -> None:
        event: dict[str, object] = {
            "id": f"evt_{next(self._numbers)}",
            "type": kind,
            "data": {"object": {"id": object_id}},
        }
        self.events.append(event)

    def _answer(self) -> None:
        if self.is_away:
            raise Unreachable("Stripe does not answer.")


def fee_of(cents: int) -> int:
    """What Stripe takes of a payment."""
    return cents * 290 // 10_000 + 30
