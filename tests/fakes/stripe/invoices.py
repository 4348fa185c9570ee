"""Invoices in the fake Stripe, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.fakes.stripe.charges import DISPUTED, Charges
from tests.fakes.stripe.refused import Refused

# Cents for a micro-dollar, the unit of every metered price.
UNIT = Decimal("0.0001")
DAY = 86_400


class Invoices(Charges):
    """The part of the world that asks for money and is paid, or not."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0  # seconds by which its clock goes before ours

    # -- what the API does

    def invoice_lines(self, invoice_id: str) -> dict[str, Any]:
        lines = self._there(invoice_id, "invoice")["_lines"]
        return {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"}

    def list_payments(self, given: dict[str, Any]) -> dict[str, Any]:
        """The payments of invoices, by what was paid with or what was paid."""
        rows = self._payments()
        if "payment" in given:
            rows = [one for one in rows if one["payment"]["payment_intent"] == given["payment"]["payment_intent"]]
        if "invoice" in given:
            rows = [one for one in rows if one["invoice"] == given["invoice"]]
        return {"object": "list", "data": rows, "has_more": False, "url": "/v1/invoice_payments"}

    def create_invoice_item(self, given: dict[str, Any]) -> dict[str, Any]:
        self._there(given["customer"], "customer")
        return self._new("ii", "invoiceitem", _invoice=None, **given)

    def create_invoice(self, given: dict[str, Any]) -> dict[str, Any]:
        """A draft of what waits for this subscription."""
        self._there(given["subscription"], "subscription")
        items = [
            one
            for one in self.objects.values()
            if one["object"] == "invoiceitem"
            and one["_invoice"] is None
            and one["subscription"] == given["subscription"]
        ]
        lines = [_line(one["id"], int(one["quantity"]), Decimal(one["unit_amount_decimal"])) for one in items]
        made = self._draft(given["customer"], given["subscription"], lines)
        for one in items:
            one["_invoice"] = made["id"]
        self._tell("invoice.created", made)
        return made

    def finalize_invoice(self, invoice_id: str) -> dict[str, Any]:
        made = self._in(invoice_id, "draft")
        made["status"] = "open"
        self._tell("invoice.finalized", made)
        return made

    def pay_open(self, invoice_id: str, given: dict[str, Any]) -> dict[str, Any]:
        made = self._in(invoice_id, "open", "uncollectible")
        self._settle(made, card=str(self._there(given["payment_method"], "payment_method")["id"]))
        return made

    def void(self, invoice_id: str) -> dict[str, Any]:
        made = self._in(invoice_id, "open", "uncollectible")
        self.void_invoice(invoice_id)
        return made

    def give_up(self, invoice_id: str) -> dict[str, Any]:
        made = self._in(invoice_id, "open")
        self.give_up_invoice(invoice_id)
        return made

    # -- what people do

    def write_invoice(
        self, customer: str, subscription: str, used: Mapping[str, int], *, tax: int = 0, due_in: int | None = None
    ) -> str:
        """The period ends: an open invoice of each price's micro-dollars, each line rounded half up; its id."""
        with self.lock:
            lines = [_line(price, micro, UNIT) for price, micro in used.items()]
            made = self._draft(customer, subscription, lines, tax=tax, due_in=due_in)
            self.finalize_invoice(made["id"])
            return str(made["id"])

    def pay_invoice(self, invoice_id: str, *, off_stripe: bool = False) -> None:
        """The card pays, or somebody by bank."""
        with self.lock:
            self._settle(self.objects[invoice_id], off_stripe=off_stripe)

    def payment_of(self, invoice_id: str) -> str:
        """The payment that paid an invoice."""
        with self.lock:
            found = next(one for one in self._payments() if one["invoice"] == invoice_id)
            return str(found["payment"]["payment_intent"])

    def refuse_invoice(self, invoice_id: str, *, for_good: bool = False) -> None:
        """The card is declined; Stripe tries again, or gives up."""
        with self.lock:
            made = self.objects[invoice_id]
            made |= {"attempted": True, "attempt_count": made["attempt_count"] + 1}
            if for_good:
                made["next_payment_attempt"] = None
            self._tell("invoice.payment_failed", made)

    def give_up_invoice(self, invoice_id: str) -> None:
        """Somebody marks it as not to be collected."""
        with self.lock:
            self.objects[invoice_id]["status"] = "uncollectible"
            self._tell("invoice.marked_uncollectible", self.objects[invoice_id])

    def void_invoice(self, invoice_id: str) -> None:
        """Somebody takes it back as if it had never been asked for."""
        with self.lock:
            self.objects[invoice_id] |= {"status": "void", "next_payment_attempt": None}
            self._tell("invoice.voided", self.objects[invoice_id])

    # -- inside

    def _payments(self) -> list[dict[str, Any]]:
        return [one for one in self.objects.values() if one["object"] == "invoice_payment"]

    def _draft(
        self, customer: str, subscription: str, lines: list[dict[str, Any]], *, tax: int = 0, due_in: int | None = None
    ) -> dict[str, Any]:
        now = int(time.time()) + self.ahead
        return self._new(
            "in",
            "invoice",
            customer=customer,
            number=f"TP-{len(self.objects):04}",
            status="draft",
            parent={"type": "subscription_details", "subscription_details": {"subscription": subscription}},
            total=sum(int(line["amount"]) for line in lines) + tax,
            total_taxes=[{"amount": tax, "type": "tax_rate_details"}] if tax else [],
            amount_paid=0,
            amount_paid_off_stripe=0,
            attempt_count=0,
            attempted=False,
            next_payment_attempt=now + DAY if due_in is None else None,
            due_date=None if due_in is None else now + due_in,
            period_start=now - 30 * DAY,
            period_end=now,
            hosted_invoice_url="https://invoice.stripe.com/i/test",
            _lines=lines,
        )

    def _in(self, invoice_id: str, *states: str) -> dict[str, Any]:
        made = self._there(invoice_id, "invoice")
        if made["status"] not in states:
            raise Refused(400, "invalid_request_error", f"This invoice is {made['status']}.")
        return made

    def _settle(self, made: dict[str, Any], *, off_stripe: bool = False, card: str = "") -> None:
        made |= {"status": "paid", "amount_paid": made["total"], "next_payment_attempt": None, "attempted": True}
        if off_stripe:
            made["amount_paid_off_stripe"] = made["total"]
        elif made["total"]:
            self._charge(made, card or self.save_card(made["customer"]))
        self._tell("invoice.paid", made)
        self._tell("invoice.payment_succeeded", made)

    def _charge(self, invoice: dict[str, Any], card: str) -> None:
        intent = self._intent(invoice["customer"], invoice["total"], {}, card)
        self._succeed(intent)
        self._new(
            "inpay", "invoice_payment", invoice=invoice["id"], amount_paid=invoice["total"], is_default=True,
            status="paid", payment={"type": "payment_intent", "payment_intent": intent["id"]},
        )  # fmt: skip
        if self.objects[card]["_kind"] == DISPUTED:
            self.dispute(intent["id"])


def _line(price: str, quantity: int, unit_cents: Decimal) -> dict[str, Any]:
    """Rounded half up to a cent."""
    cents = int((quantity * unit_cents).quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "id": f"il_{price}",
        "object": "line_item",
        "quantity": quantity,
        "subtotal": cents,
        "amount": cents,
        "pricing": {"type": "price_details", "price_details": {"price": price, "product": "prod_1"}},
    }
