"""Usage in the fake Stripe: meters, and the subscriptions that it writes invoices for."""

from __future__ import annotations

import calendar
import time
from typing import Any

from tests.fakes.stripe.invoices import DAY, Invoices
from tests.fakes.stripe.refused import Refused

MOST_ITEMS = 15


class Metering(Invoices):
    """The part of the world that counts usage and invoices it."""

    def __init__(self) -> None:
        super().__init__()
        self._counted: list[dict[str, Any]] = []
        self._known: set[str] = set()
        self._reports: dict[str, dict[str, Any]] = {}

    # -- what the API does

    def create_meter(self, given: dict[str, Any]) -> dict[str, Any]:
        if any(one["event_name"] == given["event_name"] for one in self._all("billing.meter")):
            raise Refused(400, "invalid_request_error", "There is already an active meter with this event_name.")
        return self._new("mtr", "billing.meter", status="active", **given)

    def create_price(self, given: dict[str, Any]) -> dict[str, Any]:
        self._there(given["recurring"]["meter"], "billing.meter")
        if any(one["lookup_key"] == given["lookup_key"] for one in self._all("price")):
            raise Refused(400, "invalid_request_error", "A price already uses that lookup key.")
        return self._new("price", "price", active=True, **given)

    def list_prices(self, given: dict[str, Any]) -> dict[str, Any]:
        if len(given.get("lookup_keys", [])) > 10:
            raise Refused(400, "invalid_request_error", "You can specify up to 10 lookup_keys.")
        rows = [one for one in self._all("price") if one["lookup_key"] in given["lookup_keys"]]
        return {"object": "list", "data": rows, "has_more": False, "url": "/v1/prices"}

    def create_subscription(self, given: dict[str, Any]) -> dict[str, Any]:
        self._there(given["customer"], "customer")
        for item in given["items"]:
            self._there(item["price"], "price")
        if len(given["items"]) > MOST_ITEMS:
            raise Refused(400, "invalid_request_error", f"A subscription has at most {MOST_ITEMS} items.")
        if given["collection_method"] == "charge_automatically":
            self._there(given["default_payment_method"], "payment_method")
        prices = [item["price"] for item in given["items"]]
        fields = {name: value for name, value in given.items() if name != "items"}
        return self._new(
            "sub", "subscription", status="active", _prices=prices, _billed=int(time.time()) + self.ahead, **fields
        )

    def list_subscriptions(self, given: dict[str, Any]) -> dict[str, Any]:
        rows = [one for one in self._all("subscription") if one["status"] == "active"]
        mine = [self.shown(one) for one in rows if one["customer"] == given["customer"]]
        return {"object": "list", "data": mine, "has_more": False, "url": "/v1/subscriptions"}

    def update_subscription(self, subscription_id: str, given: dict[str, Any]) -> dict[str, Any]:
        made = self._there(subscription_id, "subscription")
        method = self._there(given["default_payment_method"], "payment_method")
        if method["customer"] != made["customer"]:
            raise Refused(400, "invalid_request_error", "The payment method belongs to another customer.")
        made |= given
        return made

    def list_items(self, given: dict[str, Any]) -> dict[str, Any]:
        prices = self._there(given["subscription"], "subscription")["_prices"]
        rows = [
            {"id": f"si_{one}", "object": "subscription_item", "price": self.shown(self.objects[one])} for one in prices
        ]
        return {"object": "list", "data": rows, "has_more": False, "url": "/v1/subscription_items"}

    def create_item(self, given: dict[str, Any]) -> dict[str, Any]:
        subscription = self._there(given["subscription"], "subscription")
        price = self._there(given["price"], "price")
        if len(subscription["_prices"]) >= MOST_ITEMS:
            raise Refused(400, "invalid_request_error", f"A subscription has at most {MOST_ITEMS} items.")
        subscription["_prices"].append(price["id"])
        return {"id": f"si_{price['id']}", "object": "subscription_item", "price": self.shown(price)}

    def cancel_subscription(self, subscription_id: str, given: dict[str, Any]) -> dict[str, Any]:
        made = self._there(subscription_id, "subscription")
        made["status"] = "canceled"
        if given.get("invoice_now") == "true":
            self.end_period(subscription_id)
        return made

    def count(self, given: dict[str, Any]) -> dict[str, Any]:
        """One event of v1: looked at before it is taken."""
        if problem := self._wrong(given, int(given["timestamp"])):
            raise Refused(400, "invalid_request_error", problem[1], code=problem[0])
        self._take(given, int(given["timestamp"]))
        return {"object": "billing.meter_event", **given}

    def open_meter_session(self) -> dict[str, Any]:
        return self._new("mes", "v2.billing.meter_event_session", authentication_token="sk_test_stream")

    def stream(self, given: dict[str, Any]) -> dict[str, Any]:
        """Events of the stream: taken at once and looked at afterwards; what is wrong is told thinly."""
        if len(given["events"]) > 100:
            raise Refused(400, "invalid_request_error", "At most 100 events.")
        wrong: dict[str, list[tuple[str, str]]] = {}
        for event in given["events"]:
            at = calendar.timegm(time.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%SZ"))
            if problem := self._wrong(event, at):
                if problem[0] != "duplicate_meter_event":
                    wrong.setdefault(event["event_name"], []).append((event["identifier"], problem[1]))
                continue
            self._take(event, at)
        for event_name, samples in wrong.items():
            self._report(event_name, samples)
        return {}

    def summaries(self, meter_id: str, given: dict[str, Any]) -> dict[str, Any]:
        meter = self._there(meter_id, "billing.meter")
        since, until = int(given["start_time"]), int(given["end_time"])
        if since % 60 or until % 60:
            raise Refused(400, "invalid_request_error", "Times must be aligned with minute boundaries.")
        value = self._used(meter["event_name"], given["customer"], since, until)
        row = {"id": "mtrusg_1", "object": "billing.meter_event_summary", "aggregated_value": float(value)}
        return {"object": "list", "data": [row], "has_more": False, "url": f"/v1/billing/meters/{meter_id}/x"}

    def thin_event(self, event_id: str) -> dict[str, Any]:
        found = next((one for one in self.thin_events if one["id"] == event_id), None)
        if found is None:
            raise Refused(404, "invalid_request_error", f"No such event: '{event_id}'", code="resource_missing")
        return found | {"data": self._reports.get(event_id, {})}

    def lose_usage(self, identifier: str) -> None:
        """An event that was taken turns out wrong: it counts no longer, and a report says so."""
        with self.lock:
            event_name = next(one["event_name"] for one in self._counted if one["identifier"] == identifier)
            self._counted = [one for one in self._counted if one["identifier"] != identifier]
            self._report(event_name, [(identifier, "The customer was deleted.")])

    def forget_identifiers(self) -> None:
        """A day goes by: what was counted stays, its identifiers are not known again."""
        with self.lock:
            self._known.clear()

    def end_period(self, subscription_id: str) -> str:
        """The first of the month: an invoice for what was counted since the last one; its id."""
        with self.lock:
            subscription = self.objects[subscription_id]
            now, customer = int(time.time()) + self.ahead + 1, subscription["customer"]
            used = {
                price: self._used(self._event_name(price), customer, subscription["_billed"] - 86_400 * 40, now)
                - subscription.setdefault("_paid", {}).get(price, 0)
                for price in subscription["_prices"]
            }
            for price, value in used.items():
                subscription["_paid"][price] = subscription["_paid"].get(price, 0) + value
            is_sent = subscription["collection_method"] == "send_invoice"
            due_in = int(subscription["days_until_due"]) * DAY if is_sent else None
            return self.write_invoice(customer, subscription_id, used, due_in=due_in)

    def _event_name(self, price_id: str) -> str:
        return str(self.objects[self.objects[price_id]["recurring"]["meter"]]["event_name"])

    def _used(self, event_name: str, customer: str, since: int, until: int) -> int:
        return sum(
            int(one["payload"]["value"])
            for one in self._counted
            if one["event_name"] == event_name
            and one["payload"]["stripe_customer_id"] == customer
            and since <= one["_at"] < until
        )

    def _wrong(self, event: dict[str, Any], at: int) -> tuple[str, str] | None:
        now = time.time() + self.ahead
        if not any(one["event_name"] == event["event_name"] for one in self._all("billing.meter")):
            return "no_meter", f"No active meter found for {event['event_name']}."
        if self.objects.get(event["payload"]["stripe_customer_id"], {}).get("object") != "customer":
            return "resource_missing", "No such customer."
        if not now - 35 * DAY <= at <= now + 300:
            return "timestamp_out_of_range", "The timestamp is too far in the past or in the future."
        if event["identifier"] in self._known:
            return "duplicate_meter_event", f"An event already exists with identifier {event['identifier']}."
        return None

    def _take(self, event: dict[str, Any], at: int) -> None:
        int(event["payload"]["value"])  # whole numbers only
        self._known.add(event["identifier"])
        self._counted.append({**event, "_at": at})

    def _report(self, event_name: str, samples: list[tuple[str, str]]) -> None:
        meter = next((one for one in self._all("billing.meter") if one["event_name"] == event_name), None)
        kind = "v1.billing.meter.error_report_triggered" if meter else "v1.billing.meter.no_meter_found"
        event = self._tell_thinly(kind, meter)
        self._reports[event["id"]] = {
            "developer_message_summary": f"There were {len(samples)} invalid events.",
            "reason": {
                "error_count": len(samples),
                "error_types": [
                    {
                        "code": "meter_event_customer_not_found",
                        "error_count": len(samples),
                        "sample_errors": [
                            {"error_message": message, "request": {"identifier": identifier}}
                            for identifier, message in samples
                        ],
                    }
                ],
            },
        }

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects.values() if one["object"] == kind]
