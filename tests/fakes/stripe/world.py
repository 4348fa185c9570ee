"""What the fake Stripe knows: customers, payments, refunds, disputes, its books and the events they make."""

from __future__ import annotations

from typing import Any

from tests.fakes.stripe.charges import DECLINED, DISPUTED, SCA
from tests.fakes.stripe.connect import Connect
from tests.fakes.stripe.metering import Metering
from tests.fakes.stripe.refused import Refused


class World(Connect, Metering):
    """Everything behind one lock, as one database would have it."""

    def __init__(self) -> None:
        super().__init__()
        self.tax_bps = 0  # what Stripe Tax adds, where it is asked

    # -- what the API does

    def create_customer(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._new("cus", "customer", name=given.get("name"), metadata=given.get("metadata", {}))

    def create_session(self, given: dict[str, Any]) -> dict[str, Any]:
        self._there(given["customer"], "customer")
        if given["mode"] == "setup":
            made = self._new(
                "cs_test", "checkout.session", customer=given["customer"], status="open", payment_status="unpaid",
                payment_intent=None, setup_intent=None, client_reference_id=None,
            )  # fmt: skip
            made["url"] = f"https://checkout.stripe.com/c/setup/{made['id']}"
            return made
        total = sum(int(line["quantity"]) * int(line["price_data"]["unit_amount"]) for line in given["line_items"])
        if given.get("automatic_tax", {}).get("enabled") == "true":
            total += self._tax([(line["price_data"], "unit_amount") for line in given["line_items"]])
        made = self._new(
            "cs_test",
            "checkout.session",
            amount_total=total,
            customer=given["customer"],
            client_reference_id=given.get("client_reference_id"),
            metadata=given.get("metadata", {}),
            status="open",
            payment_status="unpaid",
            payment_intent=None,
            setup_intent=None,
            _intent=given.get("payment_intent_data", {}),
        )
        made["url"] = f"https://checkout.stripe.com/c/pay/{made['id']}"
        return made

    def create_payment(self, given: dict[str, Any]) -> dict[str, Any]:
        method = self._there(given["payment_method"], "payment_method")
        if method["customer"] != given["customer"]:
            raise Refused(400, "invalid_request_error", "The payment method belongs to another customer.")
        if hooks := given.get("hooks"):
            calculation = self._there(hooks["inputs"]["tax"]["calculation"], "tax.calculation")
            if calculation["amount_total"] != int(given["amount"]):
                raise Refused(400, "invalid_request_error", "The amount is not the calculation's.")
        made = self._intent(given["customer"], int(given["amount"]), given.get("metadata", {}), method["id"])
        if method["_kind"] == DECLINED:
            made |= {"status": "requires_payment_method", "last_payment_error": {"message": "Your card was declined."}}
            self._tell("payment_intent.payment_failed", made)
            raise Refused(
                402, "card_error", "Your card was declined.", code="card_declined", payment_intent=self.shown(made)
            )
        if method["_kind"] == SCA:
            made["status"] = "requires_action"
            self._tell("payment_intent.requires_action", made)
            message = "This payment requires authentication."
            raise Refused(402, "card_error", message, code="authentication_required", payment_intent=self.shown(made))
        self._succeed(made)
        if method["_kind"] == DISPUTED:
            self.dispute(made["id"])
        return made

    def create_calculation(self, given: dict[str, Any]) -> dict[str, Any]:
        customer = self._there(given["customer"], "customer")
        if customer.get("_lives_nowhere"):
            raise Refused(400, "invalid_request_error", "The customer's location isn't recognized.")
        tax = self._tax([(line, "amount") for line in given["line_items"]])
        total = sum(int(line["amount"]) for line in given["line_items"]) + tax
        return self._new("taxcalc", "tax.calculation", tax_amount_exclusive=tax, amount_total=total)

    def confirm_payment(self, payment_id: str, given: dict[str, Any]) -> dict[str, Any]:
        made = self._there(payment_id, "payment_intent")
        if made["status"] not in {"requires_action", "requires_confirmation", "requires_payment_method"}:
            raise Refused(400, "invalid_request_error", f"This PaymentIntent is {made['status']}.")
        made["status"] = "requires_action"
        url = f"https://hooks.stripe.com/3d_secure/{payment_id}"
        made["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"url": url, "return_url": given.get("return_url")},
        }
        return made

    def cancel_payment(self, payment_id: str) -> dict[str, Any]:
        made = self._there(payment_id, "payment_intent")
        if made["status"] == "succeeded":
            raise Refused(400, "invalid_request_error", "A succeeded PaymentIntent cannot be canceled.")
        made["status"] = "canceled"
        self._tell("payment_intent.canceled", made)
        return made

    def create_refund(self, given: dict[str, Any]) -> dict[str, Any]:
        intent = self._there(given["payment_intent"], "payment_intent")
        charge = self.objects[intent["latest_charge"]]
        amount = int(given.get("amount", charge["amount"]))
        if amount > charge["amount"] - charge["amount_refunded"]:
            raise Refused(400, "invalid_request_error", "Refund amount is greater than unrefunded amount on charge.")
        charge["amount_refunded"] += amount
        line = self._line("refund", -amount, 0, charge["id"])
        made = self._new(
            "re",
            "refund",
            amount=amount,
            payment_intent=intent["id"],
            charge=charge["id"],
            status="succeeded",
            metadata=given.get("metadata", {}),
            balance_transaction=line["id"],
        )
        self._tell("refund.created", made)
        self._tell("charge.refunded", charge)
        return made

    def expire_session(self, session_id: str) -> dict[str, Any]:
        made = self._there(session_id, "checkout.session")
        if made["status"] != "open":
            raise Refused(400, "invalid_request_error", "Only Checkout Sessions with a status of open can be expired.")
        self.leave(session_id)
        return made

    def answer_dispute(self, dispute_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Evidence; Stripe's test bank decides at once by its text."""
        made = self._there(dispute_id, "dispute")
        if given.get("submit") == "true":
            self.submit_evidence(dispute_id)
            self.judge(dispute_id, won=given["evidence"]["uncategorized_text"] == "winning_evidence")
        return made

    def get(self, object_id: str, kind: str) -> dict[str, Any]:
        return self._there(object_id, kind)

    def listed(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        """Newest first, by `customer`, `payment_intent`, `created[gte]`, `starting_after` and `limit`."""
        rows = [one for one in self.objects.values() if one["object"] == kind]
        if kind == "event":  # those of connected accounts are listed for them
            rows = [one for one in self.events if "account" not in one]
        since = int((given.get("created") or {}).get("gte", 0))
        rows = [one for one in reversed(rows) if one["created"] >= since]
        if "customer" in given:
            rows = [one for one in rows if one.get("customer") == given["customer"]]
        if "payment_intent" in given:
            rows = [one for one in rows if one.get("payment_intent") == given["payment_intent"]]
        if "transfer_group" in given:
            rows = [one for one in rows if one.get("transfer_group") == given["transfer_group"]]
        if after := given.get("starting_after"):
            rows = rows[[one["id"] for one in rows].index(after) + 1 :]
        limit = int(given.get("limit", 10))
        return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": f"/v1/{kind}s"}

    # -- what people and banks do

    def pay(self, session_id: str) -> dict[str, Any]:
        """The customer fills in Stripe's page with a good card."""
        with self.lock:
            session = self.objects[session_id]
            method = self.save_card(session["customer"])
            metadata = session["_intent"].get("metadata", {})
            intent = self._intent(session["customer"], session["amount_total"], metadata, method)
            self._succeed(intent)
            session |= {"status": "complete", "payment_status": "paid", "payment_intent": intent["id"]}
            self._tell("checkout.session.completed", session)
            return intent

    def leave_card(self, session_id: str) -> str:
        """The customer leaves a good card on Stripe's page; its id."""
        with self.lock:
            session = self.objects[session_id]
            method = self.save_card(session["customer"])
            intent = self._new("seti", "setup_intent", customer=session["customer"], payment_method=method)
            session |= {"status": "complete", "setup_intent": intent["id"]}
            self._tell("checkout.session.completed", session)
            return method

    def leave(self, session_id: str) -> None:
        """The customer leaves Stripe's page and it expires."""
        with self.lock:
            self.objects[session_id]["status"] = "expired"
            self._tell("checkout.session.expired", self.objects[session_id])

    def authenticate(self, payment_id: str) -> None:
        """The customer confirms at the bank."""
        with self.lock:
            self._succeed(self.objects[payment_id])

    def send_back(self, payment_id: str, cents: int) -> str:
        """Somebody refunds a part of a payment in Stripe's dashboard; the refund's id."""
        with self.lock:
            return str(self.create_refund({"payment_intent": payment_id, "amount": str(cents)})["id"])

    def fail_refund(self, refund_id: str) -> None:
        """The card does not take a refund."""
        with self.lock:
            made = self.objects[refund_id]
            made["status"] = "failed"
            self._line("refund_failure", made["amount"], 0, made["charge"])
            self._tell("refund.failed", made)

    def charges(self) -> list[dict[str, Any]]:
        """The charges that succeeded, oldest first."""
        with self.lock:
            return [one for one in self.objects.values() if one["object"] == "charge"]

    # -- inside

    def _tax(self, lines: list[tuple[dict[str, Any], str]]) -> int:
        """Rounded half up line by line, on prices that leave it out."""
        bases = [int(line[name]) for line, name in lines if line.get("tax_behavior") == "exclusive"]
        return sum((base * self.tax_bps + 5_000) // 10_000 for base in bases)
