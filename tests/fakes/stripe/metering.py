"""Usage in the fake Stripe: the invoices that it writes for subscriptions, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

MICRO_PER_CENT = 10_000
DAY = 86_400


class Metering:
    """The part of the world that counts usage and invoices it; `World` keeps the objects, the books and the events."""

    lock: threading.RLock
    objects: dict[str, dict[str, Any]]

    # -- what the API does

    def invoice_lines(self, invoice_id: str) -> dict[str, Any]:
        lines = self._there(invoice_id, "invoice")["_lines"]
        return {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"}

    # -- what time and people do

    def write_invoice(
        self, customer: str, subscription: str, used: Mapping[str, int], *, tax: int = 0, due_in: int | None = None
    ) -> str:
        """The period ends: an open invoice of each price's micro-dollars, each line rounded half up; its id."""
        with self.lock:
            now = int(time.time())
            lines = [
                {
                    "id": f"il_{price}",
                    "object": "line_item",
                    "quantity": micro,
                    "subtotal": (micro + MICRO_PER_CENT // 2) // MICRO_PER_CENT,
                    "amount": (micro + MICRO_PER_CENT // 2) // MICRO_PER_CENT,
                    "pricing": {"type": "price_details", "price_details": {"price": price, "product": "prod_1"}},
                }
                for price, micro in used.items()
            ]
            made = self._new(
                "in",
                "invoice",
                customer=customer,
                number=f"TP-{len(self.objects):04}",
                status="open",
                parent={"type": "subscription_details", "subscription_details": {"subscription": subscription}},
                total=sum(int(str(line["amount"])) for line in lines) + tax,
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
            self._tell("invoice.finalized", made)
            return str(made["id"])

    def pay_invoice(self, invoice_id: str, *, off_stripe: bool = False) -> None:
        """The card pays, or somebody by bank."""
        with self.lock:
            made = self.objects[invoice_id]
            made |= {"status": "paid", "amount_paid": made["total"], "next_payment_attempt": None, "attempted": True}
            if off_stripe:
                made["amount_paid_off_stripe"] = made["total"]
            else:
                self._line("charge", made["total"], 0, invoice_id)
            self._tell("invoice.paid", made)
            self._tell("invoice.payment_succeeded", made)

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

    # -- the world's own, which `World` has

    def _there(self, object_id: str, kind: str) -> dict[str, Any]:
        raise NotImplementedError

    def _new(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _line(self, kind: str, amount: int, fee: int, source: str) -> dict[str, Any]:
        raise NotImplementedError

    def _tell(self, kind: str, one: dict[str, Any], **more: Any) -> None:
        raise NotImplementedError
