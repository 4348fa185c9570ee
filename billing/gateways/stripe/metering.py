"""Meters at Stripe: made once, counted up by events, read back as sums; the subscription that prices them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import stripe
from django.conf import settings

from billing.gateways.stripe import transport

# A unit of a priced meter is a micro-dollar.
CENTS_PER_UNIT: Final = Decimal("0.0001")
MOST_AT_ONCE: Final = 100
_LOOKED_UP_AT_ONCE: Final = 10
# Thin events that tell of usage that was taken and then dropped.
DROPPED: Final = frozenset({"v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"})


@dataclass(frozen=True, slots=True)
class Counted:
    """One event for a meter: `identifier` is ours, so that the same one counts once within a day."""

    identifier: str
    event_name: str
    customer_id: str
    value: int
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Report:
    """Why Stripe dropped events after taking them: identifier -> reason, of some of them."""

    summary: str
    refused: Mapping[str, str]


def meters() -> dict[str, str]:
    """Event name -> id of the meters that count."""
    found = transport.call(lambda: transport.client().v1.billing.meters.list({"status": "active", "limit": 100}))
    return {one.event_name: one.id for one in found.auto_paging_iter()}


def create_meter(*, event_name: str, title: str) -> str:
    """A meter that adds up; its id."""
    params: Any = {
        "event_name": event_name,
        "display_name": title,
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    return transport.call(
        lambda: transport.client().v1.billing.meters.create(params, {"idempotency_key": f"meter:{event_name}"})
    ).id


def prices(lookup_keys: Sequence[str]) -> dict[str, str]:
    """Lookup key -> id of the prices that are there."""
    found: dict[str, str] = {}
    for place in range(0, len(lookup_keys), _LOOKED_UP_AT_ONCE):
        params: Any = {"lookup_keys": list(lookup_keys[place : place + _LOOKED_UP_AT_ONCE]), "active": True}
        listed = transport.call(lambda params=params: transport.client().v1.prices.list(params))  # type: ignore[misc]
        found |= {one.lookup_key: one.id for one in listed.data if one.lookup_key}
    return found


def create_price(*, lookup_key: str, meter_id: str, title: str) -> str:
    """A monthly price of a micro-dollar a unit on a meter; its id."""
    params: Any = {
        "currency": transport.CURRENCY,
        "unit_amount_decimal": CENTS_PER_UNIT,
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter_id},
        "product_data": {"name": title},
        "lookup_key": lookup_key,
    }
    if settings.STRIPE_TAX:
        params["tax_behavior"] = "exclusive"
    key = f"price:{lookup_key}:{meter_id}"
    return transport.call(lambda: transport.client().v1.prices.create(params, {"idempotency_key": key})).id


def subscribe(
    *, account_id: int, customer_id: str, payment_method_id: str, price_ids: Sequence[str], days_until_due: int
) -> str:
    """A subscription billed on the first of each month, from the saved card or by an invoice to be paid; its id."""
    params: Any = {
        "customer": customer_id,
        "items": [{"price": one} for one in price_ids],
        "billing_cycle_anchor_config": {"day_of_month": 1, "hour": 0, "minute": 0, "second": 0},
        "metadata": {"account": str(account_id)},
    }
    if payment_method_id:
        params |= {"collection_method": "charge_automatically", "default_payment_method": payment_method_id}
    else:
        params |= {"collection_method": "send_invoice", "days_until_due": days_until_due}
    if settings.STRIPE_TAX:
        params["automatic_tax"] = {"enabled": True}
    # The card in the key: a second try after a card was saved is another request.
    key = f"subscription:{account_id}:{payment_method_id}"
    return transport.call(lambda: transport.client().v1.subscriptions.create(params, {"idempotency_key": key})).id


def subscription_of(*, account_id: int, customer_id: str) -> str:
    """The running subscription that was made for an account, when only its creation's answer was lost; or nothing."""
    found = transport.call(lambda: transport.client().v1.subscriptions.list({"customer": customer_id, "limit": 100}))
    ours = (one.id for one in found.data if transport.metadata_of(one.metadata, "account") == str(account_id))
    return next(ours, "")


def subscribed(subscription_id: str) -> set[str]:
    """The prices of a subscription."""
    found = transport.call(
        lambda: transport.client().v1.subscription_items.list({"subscription": subscription_id, "limit": 100})
    )
    return {one.price.id for one in found.auto_paging_iter()}


def charge_card(*, subscription_id: str, payment_method_id: str) -> None:
    """Charge the invoices of a subscription to this card from now on."""
    params: Any = {"collection_method": "charge_automatically", "default_payment_method": payment_method_id}
    transport.call(lambda: transport.client().v1.subscriptions.update(subscription_id, params))


def add_price(*, subscription_id: str, price_id: str) -> None:
    """One more price for a subscription."""
    params: Any = {"subscription": subscription_id, "price": price_id}
    key = f"item:{subscription_id}:{price_id}"
    transport.call(lambda: transport.client().v1.subscription_items.create(params, {"idempotency_key": key}))


def end_subscription(subscription_id: str) -> None:
    """End it, with an invoice for what was counted since the last one."""
    transport.call(lambda: transport.client().v1.subscriptions.cancel(subscription_id, {"invoice_now": True}))


def count(event: Counted) -> None:
    """Send one event; one that Stripe has already is no error. Raises Rejected for what it does not take."""

    def ask() -> None:
        params: Any = {
            "event_name": event.event_name,
            "identifier": event.identifier,
            "timestamp": int(event.at.timestamp()),
            "payload": _payload(event),
        }
        try:
            # No key of ours: Stripe would repeat a failure under it, while the identifier counts once by itself.
            transport.client().v1.billing.meter_events.create(params)
        except stripe.InvalidRequestError as error:
            if error.code != "duplicate_meter_event":
                raise

    transport.call(ask)


def count_all(events: Sequence[Counted]) -> None:
    """Send up to a hundred events over the stream, which looks at them later: errors come as events of their own."""
    if len(events) > MOST_AT_ONCE:
        raise transport.Rejected(f"At most {MOST_AT_ONCE} events go at once.")
    session = transport.call(lambda: transport.client().v2.billing.meter_event_session.create())
    client = transport.client_of(session.authentication_token, settings.STRIPE_API_BASE)
    params: Any = {
        "events": [
            {
                "event_name": one.event_name,
                "identifier": one.identifier,
                "timestamp": one.at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "payload": _payload(one),
            }
            for one in events
        ]
    }
    transport.call(lambda: client.v2.billing.meter_event_stream.create(params))


def summed(*, meter_id: str, customer_id: str, since: dt.datetime, until: dt.datetime) -> int:
    """What a meter has counted for a customer between two whole hours."""
    params: Any = {
        "customer": customer_id,
        "start_time": int(since.timestamp()),
        "end_time": int(until.timestamp()),
        "limit": 100,
    }
    found = transport.call(lambda: transport.client().v1.billing.meters.event_summaries.list(meter_id, params))
    return sum(int(one.aggregated_value) for one in found.auto_paging_iter())


def report(event_id: str) -> Report:
    """What an error event says, fetched."""
    found = transport.call(lambda: transport.client().v2.core.events.retrieve(event_id)).to_dict()
    data = found.get("data") or {}
    refused = {
        str((sample.get("request") or {}).get("identifier", "")): str(sample.get("error_message", ""))
        for kind in (data.get("reason") or {}).get("error_types") or []
        for sample in kind.get("sample_errors") or []
    }
    return Report(str(data.get("developer_message_summary", "")), refused)


def _payload(event: Counted) -> dict[str, str]:
    return {"stripe_customer_id": event.customer_id, "value": str(event.value)}
