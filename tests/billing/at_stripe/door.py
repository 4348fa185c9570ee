"""What people and banks do at Stripe, over its own API: the same for the fake and for a real test account.

The cards are Stripe's test cards by their names; a bank is answered with Stripe's test evidence. Nobody fills in a
page, so what needs one (Checkout to its end, a bank that asks its customer, a recipient's onboarding) is not here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import stripe

from billing.gateways.stripe import transport
from tests.billing.conftest import Post
from tests.fakes.stripe.server import FakeStripe

GOOD: Final = "pm_card_visa"
DECLINED: Final = "pm_card_chargeCustomerFail"
ASKS_ITS_CUSTOMER: Final = "pm_card_authenticationRequired"
DISPUTED: Final = "pm_card_createDispute"
# A unit of an invoice's line is a micro-dollar, as on the prices that `stripe_sync` makes.
CENTS_PER_UNIT: Final = "0.0001"


@dataclass
class Door:
    """Stripe's API, and the way by which what happened there comes to the portal: `until` tells it, again and again."""

    post: Post
    pause: float  # seconds between two looks
    looks: int
    since: int = field(default_factory=lambda: int(time.time()) - 5)
    told: list[str] = field(default_factory=list)

    @property
    def api(self) -> stripe.StripeClient:
        """The client that the portal uses too."""
        return transport.client()

    def until(self, holds: Callable[[], object], *, copies: int = 1) -> None:
        """Tell the portal of what happened, each event so many times, until it has come to this."""
        for _ in range(self.looks):
            self.deliver(copies=copies)
            if holds():
                return
            time.sleep(self.pause)
        raise AssertionError(f"Stripe told {', '.join(self.told) or 'nothing'}, and it has not come to this.")

    def deliver(self, *, copies: int = 1) -> None:
        """Send the portal what Stripe's list of events has, the newest first, signed with this portal's secret."""
        params: Any = {"created": {"gte": self.since}, "limit": 100}
        events = [event.to_dict() for event in self.api.v1.events.list(params).auto_paging_iter()]
        self.told = [str(event["type"]) for event in events]
        for event in events * copies:
            self.post(*FakeStripe.signed(event))

    # -- cards and pages

    def card(self, customer_id: str, kind: str = GOOD) -> str:
        """A test card of this kind for a customer; its id."""
        return self.api.v1.payment_methods.attach(kind, {"customer": customer_id}).id

    def expire(self, session_id: str) -> None:
        """A payment page is given up."""
        self.api.v1.checkout.sessions.expire(session_id)

    # -- what goes back

    def send_back(self, payment_intent_id: str, cents: int) -> str:
        """Somebody refunds a part of a payment; the refund's id."""
        return self.api.v1.refunds.create({"payment_intent": payment_intent_id, "amount": cents}).id

    def dispute_of(self, payment_intent_id: str) -> str:
        """The dispute of a payment; nothing while there is none."""
        found = self.api.v1.disputes.list({"payment_intent": payment_intent_id, "limit": 1})
        return found.data[0].id if found.data else ""

    def answer(self, dispute_id: str, *, wins: bool) -> None:
        """Submit the evidence that Stripe's test bank takes, or the one that it does not."""
        evidence: Any = {"uncategorized_text": "winning_evidence" if wins else "losing_evidence"}
        self.api.v1.disputes.update(dispute_id, {"evidence": evidence, "submit": True})

    # -- invoices

    def invoice(self, *, customer_id: str, subscription_id: str, micro: int) -> str:
        """An open invoice of a subscription for so many micro-dollars; its id."""
        item: Any = {
            "customer": customer_id,
            "subscription": subscription_id,
            "currency": "usd",
            "quantity": micro,
            "unit_amount_decimal": CENTS_PER_UNIT,
        }
        self.api.v1.invoice_items.create(item)
        params: Any = {"customer": customer_id, "subscription": subscription_id, "auto_advance": False}
        made = self.api.v1.invoices.create(params)
        return self.api.v1.invoices.finalize_invoice(made.id, {"auto_advance": False}).id

    def pay_invoice(self, invoice_id: str, card: str) -> str:
        """Pay it with this card; the payment's id."""
        self.api.v1.invoices.pay(invoice_id, {"payment_method": card})
        paid = self.api.v1.invoice_payments.list({"invoice": invoice_id, "status": "paid"})
        return transport.id_of(paid.data[0].payment.payment_intent)

    def void_invoice(self, invoice_id: str) -> None:
        """Take it back."""
        self.api.v1.invoices.void_invoice(invoice_id)

    def give_up_invoice(self, invoice_id: str) -> None:
        """Mark it as not to be collected."""
        self.api.v1.invoices.mark_uncollectible(invoice_id)
