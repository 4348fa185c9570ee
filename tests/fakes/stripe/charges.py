"""Cards in the fake Stripe, and what is charged to them."""

from __future__ import annotations

from typing import Any

from tests.fakes.stripe.objects import Objects

FEE_BPS, FEE_FIXED = 290, 30
GOOD, DECLINED, SCA = "good", "declined", "sca"


class Charges(Objects):
    """The part of the world that takes money from cards, less its fee."""

    def save_card(self, customer: str, kind: str = GOOD) -> str:
        """A card of this kind for a customer; its id."""
        card = {"brand": "visa", "last4": {GOOD: "4242", DECLINED: "0341", SCA: "3184"}[kind]}
        made = self._new("pm", "payment_method", customer=customer, type="card", card=card, _kind=kind)
        return str(made["id"])

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
