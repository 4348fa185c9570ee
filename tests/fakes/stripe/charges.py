"""Cards in the fake Stripe, and what is charged to them."""

from __future__ import annotations

from typing import Any

from tests.fakes.stripe.objects import Objects
from tests.fakes.stripe.refused import Refused

FEE_BPS, FEE_FIXED, DISPUTE_FEE = 290, 30, 1500
GOOD, DECLINED, SCA, DISPUTED = "good", "declined", "sca", "disputed"
# Stripe's test cards by their names.
TEST_CARDS = {
    "pm_card_visa": GOOD,
    "pm_card_chargeCustomerFail": DECLINED,
    "pm_card_authenticationRequired": SCA,
    "pm_card_createDispute": DISPUTED,
}


class Charges(Objects):
    """The part of the world that takes money from cards, less its fee."""

    def attach_method(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """One of Stripe's test cards for a customer."""
        self._there(given["customer"], "customer")
        if name not in TEST_CARDS:
            raise Refused(404, "invalid_request_error", f"No such PaymentMethod: '{name}'", code="resource_missing")
        return self.objects[self.save_card(given["customer"], TEST_CARDS[name])]

    def save_card(self, customer: str, kind: str = GOOD) -> str:
        """A card of this kind for a customer; its id."""
        last4 = {GOOD: "4242", DECLINED: "0341", SCA: "3184", DISPUTED: "0259"}[kind]
        card = {"brand": "visa", "last4": last4}
        made = self._new("pm", "payment_method", customer=customer, type="card", card=card, _kind=kind)
        return str(made["id"])

    def dispute(self, payment_id: str) -> str:
        """The bank takes a payment back; the dispute's id."""
        with self.lock:
            charge = self.objects[self.objects[payment_id]["latest_charge"]]
            line = self._line("adjustment", -charge["amount"], DISPUTE_FEE, charge["id"])
            made = self._new(
                "dp",
                "dispute",
                amount=charge["amount"],
                charge=charge["id"],
                payment_intent=payment_id,
                status="needs_response",
                balance_transactions=[line],
            )
            self._tell("charge.dispute.created", made)
            self._tell("charge.dispute.funds_withdrawn", made)
            return str(made["id"])

    def submit_evidence(self, dispute_id: str) -> None:
        """Somebody answers the bank in Stripe's dashboard."""
        with self.lock:
            self.objects[dispute_id]["status"] = "under_review"
            self._tell("charge.dispute.updated", self.objects[dispute_id])

    def judge(self, dispute_id: str, *, won: bool) -> None:
        """The bank's word on a dispute."""
        with self.lock:
            made = self.objects[dispute_id]
            made["status"] = "won" if won else "lost"
            if won:
                made["balance_transactions"].append(self._line("adjustment", made["amount"], 0, made["charge"]))
                self._tell("charge.dispute.funds_reinstated", made)
            self._tell("charge.dispute.closed", made)

    # -- inside

    def _intent(self, customer: str, amount: int, metadata: dict[str, Any], method: str) -> dict[str, Any]:
        return self._new(
            "pi",
            "payment_intent",
            amount=amount,
            currency="usd",
            customer=customer,
            metadata=metadata,
            payment_method=method,
            status="requires_confirmation",
            latest_charge=None,
            last_payment_error=None,
            next_action=None,
        )

    def _succeed(self, intent: dict[str, Any]) -> None:
        amount = intent["amount"]
        charge = self._new(
            "ch",
            "charge",
            amount=amount,
            amount_refunded=0,
            customer=intent["customer"],
            payment_intent=intent["id"],
            receipt_url="https://pay.stripe.com/receipts/test",
        )
        charge["balance_transaction"] = self._line(
            "charge", amount, amount * FEE_BPS // 10_000 + FEE_FIXED, charge["id"]
        )["id"]
        intent |= {"status": "succeeded", "latest_charge": charge["id"], "next_action": None}
        self._tell("charge.succeeded", charge)
        self._tell("payment_intent.succeeded", intent)
