"""Payments at Stripe. Amounts are cents; every call that moves money carries our idempotency key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stripe
from django.conf import settings

from billing.gateways.stripe import transport


@dataclass(frozen=True, slots=True)
class Payment:
    """A PaymentIntent as far as we look at it."""

    id: str
    status: str
    amount_cents: int
    topup_id: str
    customer_id: str
    payment_method_id: str = ""
    card: str = ""
    receipt_url: str = ""
    balance_transaction_id: str = ""
    stripe_fee_cents: int = 0
    message: str = ""
    redirect_url: str = ""

    @property
    def is_paid(self) -> bool:
        """Whether the money is ours."""
        return self.status == "succeeded"


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout session: where to send the browser, and what has become of it."""

    id: str
    url: str
    status: str
    is_paid: bool
    payment_intent_id: str
    topup_id: str
    setup_intent_id: str = ""


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card that a customer has left with Stripe."""

    customer_id: str
    payment_method_id: str
    card: str


@dataclass(frozen=True, slots=True)
class Taxed:
    """What Stripe Tax adds to a purchase, and the calculation that a payment names."""

    calculation_id: str
    tax_cents: int


def customer(*, account_id: int, name: str, email: str) -> str:
    """Make the account's customer (once per account); its id."""
    made = transport.call(
        lambda: transport.client().v1.customers.create(
            {"name": name, "email": email, "metadata": {"account": str(account_id)}},
            {"idempotency_key": f"customer:{account_id}"},
        )
    )
    return made.id


def checkout(
    *, topup_id: str, customer_id: str, amount_cents: int, fee_cents: int, success_url: str, cancel_url: str
) -> Session:
    """A page of Stripe's on which the customer pays and saves the card."""
    metadata = {"topup": topup_id}
    lines: list[Any] = [_line("Turnpike credit", amount_cents)]
    if fee_cents:
        lines.append(_line("Payment fee", fee_cents))
    params: Any = {
        "mode": "payment",
        "customer": customer_id,
        "client_reference_id": topup_id,
        "line_items": lines,
        "metadata": metadata,
        "payment_intent_data": {"setup_future_usage": "off_session", "metadata": metadata},
        "invoice_creation": {"enabled": True},
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if settings.STRIPE_TAX:
        params |= {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    made = transport.call(
        lambda: transport.client().v1.checkout.sessions.create(params, {"idempotency_key": f"checkout:{topup_id}"}),
    )
    return _session(made)


def save_card(*, customer_id: str, success_url: str, cancel_url: str) -> Session:
    """A page of Stripe's on which the customer leaves a card and pays nothing."""
    params: Any = {
        "mode": "setup",
        "currency": transport.CURRENCY,
        "customer": customer_id,
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    return _session(transport.call(lambda: transport.client().v1.checkout.sessions.create(params)))


def saved_card(setup_intent_id: str) -> SavedCard:
    """The card that was left on such a page."""
    params: Any = {"expand": ["payment_method"]}
    found = transport.call(lambda: transport.client().v1.setup_intents.retrieve(setup_intent_id, params))
    method = found.payment_method if isinstance(found.payment_method, stripe.PaymentMethod) else None
    return SavedCard(transport.id_of(found.customer), transport.id_of(found.payment_method), _card(method))


def tax(*, customer_id: str, amount_cents: int, fee_cents: int) -> Taxed:
    """The tax on credit and fee where the customer lives. Raises Rejected when Stripe does not know where that is."""
    lines: list[Any] = [{"amount": amount_cents, "reference": "credit", "tax_behavior": "exclusive"}]
    if fee_cents:
        lines.append({"amount": fee_cents, "reference": "fee", "tax_behavior": "exclusive"})
    params: Any = {"currency": transport.CURRENCY, "customer": customer_id, "line_items": lines}
    made = transport.call(lambda: transport.client().v1.tax.calculations.create(params))
    return Taxed(made.id or "", made.tax_amount_exclusive)


def charge_saved_card(
    *, topup_id: str, customer_id: str, payment_method_id: str, amount_cents: int, tax_calculation_id: str = ""
) -> Payment:
    """Charge the saved card while the customer is away. A refusal is a Payment that says so, not an error.

    `amount_cents` is all that is charged; the calculation says which part of it is tax.
    Raises Unreachable when it is not known whether the card was charged, Rejected when no payment was made.
    """
    params: Any = {
        "amount": amount_cents,
        "currency": transport.CURRENCY,
        "customer": customer_id,
        "payment_method": payment_method_id,
        "off_session": True,
        "confirm": True,
        "metadata": {"topup": topup_id},
        "expand": _EXPANDED,
    }
    if tax_calculation_id:
        params["hooks"] = {"inputs": {"tax": {"calculation": tax_calculation_id}}}
    try:
        made = transport.call(
            lambda: transport.client().v1.payment_intents.create(params, {"idempotency_key": f"topup:{topup_id}"})
        )
    except stripe.CardError as error:
        return _refused(error, topup_id=topup_id, customer_id=customer_id, amount_cents=amount_cents)
    return _payment(made)


def confirm(*, payment_intent_id: str, return_url: str) -> Payment:
    """Go on with a payment whose bank wants its customer; `redirect_url` is where to send the browser."""
    params: Any = {"return_url": return_url, "expand": _EXPANDED}
    return _payment(transport.call(lambda: transport.client().v1.payment_intents.confirm(payment_intent_id, params)))


def cancel(*, payment_intent_id: str) -> Payment:
    """Give up a payment. Raises Rejected when it cannot be given up any more."""
    return _payment(
        transport.call(lambda: transport.client().v1.payment_intents.cancel(payment_intent_id, {"expand": _EXPANDED}))
    )


def payment(payment_intent_id: str) -> Payment:
    """A payment as it stands."""
    return _payment(
        transport.call(lambda: transport.client().v1.payment_intents.retrieve(payment_intent_id, {"expand": _EXPANDED}))
    )


def payment_of(*, topup_id: str, customer_id: str) -> Payment | None:
    """The payment made for a top-up, when only its creation's answer was lost; looks at the customer's latest."""
    found = transport.call(
        lambda: transport.client().v1.payment_intents.list(
            {"customer": customer_id, "limit": 100, "expand": _EXPANDED_LIST}
        )
    )
    return next((_payment(one) for one in found.data if transport.metadata_of(one.metadata, "topup") == topup_id), None)


def session(session_id: str) -> Session:
    """A Checkout session as it stands."""
    return _session(transport.call(lambda: transport.client().v1.checkout.sessions.retrieve(session_id)))


_EXPANDED: list[str] = ["latest_charge.balance_transaction", "payment_method"]
_EXPANDED_LIST: list[str] = [f"data.{path}" for path in _EXPANDED]


def _line(name: str, cents: int) -> dict[str, Any]:
    price: dict[str, Any] = {"currency": transport.CURRENCY, "unit_amount": cents, "product_data": {"name": name}}
    if settings.STRIPE_TAX:  # beside the price, never inside: the credit is what was asked for
        price["tax_behavior"] = "exclusive"
    return {"quantity": 1, "price_data": price}


def _refused(error: stripe.CardError, *, topup_id: str, customer_id: str, amount_cents: int) -> Payment:
    intent = error.error.payment_intent if error.error else None
    wants_customer = error.code == "authentication_required"
    return Payment(
        id=intent.id if intent else "",
        status="requires_action" if wants_customer else "failed",
        amount_cents=amount_cents,
        topup_id=topup_id,
        customer_id=customer_id,
        message=error.user_message or "The card was declined.",
    )


def _payment(found: stripe.PaymentIntent) -> Payment:
    charge = found.latest_charge if isinstance(found.latest_charge, stripe.Charge) else None
    line = charge.balance_transaction if charge else None
    line = line if isinstance(line, stripe.BalanceTransaction) else None
    method = found.payment_method if isinstance(found.payment_method, stripe.PaymentMethod) else None
    step = found.next_action.redirect_to_url if found.next_action else None
    return Payment(
        id=found.id,
        status=found.status,
        amount_cents=found.amount,
        topup_id=transport.metadata_of(found.metadata, "topup"),
        customer_id=transport.id_of(found.customer),
        payment_method_id=transport.id_of(found.payment_method),
        card=_card(method),
        receipt_url=(charge.receipt_url if charge else "") or "",
        balance_transaction_id=line.id if line else "",
        stripe_fee_cents=line.fee if line else 0,
        message=(found.last_payment_error.message or "") if found.last_payment_error else "",
        redirect_url=(step.url or "") if step else "",
    )


def _card(method: stripe.PaymentMethod | None) -> str:
    card = method.card if method else None
    return f"{card.brand.title()} ending {card.last4}" if card else ""


def _session(found: stripe.checkout.Session) -> Session:
    return Session(
        id=found.id,
        url=found.url or "",
        status=found.status or "",
        is_paid=found.payment_status == "paid",
        payment_intent_id=transport.id_of(found.payment_intent),
        topup_id=found.client_reference_id or "",
        setup_intent_id=transport.id_of(found.setup_intent),
    )
