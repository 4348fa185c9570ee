"""The fake Stripe over HTTP: routes, idempotency keys, faults on demand, and webhooks that it signs."""

from __future__ import annotations

import json
import random
import re
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import stripe

from tests.fakes.stripe import shapes
from tests.fakes.stripe.refused import Refused
from tests.fakes.stripe.world import World

SECRET = "whsec_fake"
THIN_SECRET = "whsec_thin"

# What can go wrong with the next call that changes something.
FAIL_BEFORE, FAIL_AFTER, HANG_UP_AFTER, CONFLICT, BUSY = "500", "500-after", "hang-up-after", "409", "429"

Operation = Callable[..., dict[str, Any]]


class FakeStripe:
    """`with FakeStripe() as fake:` point STRIPE_API_BASE at `fake.url`; act on `fake.world`; `fake.deliver(post)`."""

    def __init__(self) -> None:
        self.world = World()
        self.calls: list[tuple[str, str]] = []
        self.faults: deque[str] = deque()
        self._answers: dict[str, tuple[str, int, dict[str, Any]]] = {}
        self._told = self._told_thinly = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, *faults: str) -> None:
        """Let the next POSTs go wrong in these ways, in order."""
        self.faults.extend(faults)

    def deliver(
        self,
        post: Callable[[bytes, str], object],
        *,
        copies: int = 1,
        shuffled: random.Random | None = None,
        drop: Callable[[str], bool] | None = None,
        secret: str = SECRET,
    ) -> int:
        """Send what happened since the last time as signed webhooks; returns how many were sent."""
        waiting = [one for one in self.world.events[self._told :] if not (drop and drop(one["type"]))] * copies
        self._told = len(self.world.events)
        if shuffled:
            shuffled.shuffle(waiting)
        for event in waiting:
            body, signature = self.signed(event, secret)
            post(body, signature)
        return len(waiting)

    def deliver_thin(self, post: Callable[[bytes, str], object], *, copies: int = 1) -> int:
        """The same for thin events, which have an address and a secret of their own."""
        waiting = self.world.thin_events[self._told_thinly :] * copies
        self._told_thinly = len(self.world.thin_events)
        for event in waiting:
            post(*self.signed(event, THIN_SECRET))
        return len(waiting)

    @staticmethod
    def signed(event: dict[str, Any], secret: str = SECRET, *, timestamp: int | None = None) -> tuple[bytes, str]:
        """An event's body and its Stripe-Signature."""
        body = json.dumps(event)
        return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret, timestamp=timestamp)

    def answer(self, method: str, path: str, body: str, key: str) -> tuple[int, dict[str, Any]] | None:
        """Status and body of a call; None to hang up without an answer."""
        with self.world.lock:
            self.calls.append((method, path))
            if key in self._answers:
                before, status, told = self._answers[key]
                if before != f"{path}?{body}":
                    message = "Keys for idempotent requests can only be used with the same parameters."
                    return 400, {"error": {"type": "idempotency_error", "message": message}}
                return status, told
            fault = self.faults.popleft() if method == "post" and self.faults else ""
            if fault in _REFUSALS:
                return _REFUSALS[fault]
            status, told = self._do(method, path, body)
            if fault == FAIL_AFTER:
                status, told = 500, {"error": {"type": "api_error", "message": "An unknown error occurred."}}
            if key and method == "post" and status < 600:
                self._answers[key] = (f"{path}?{body}", status, told)
            return None if fault == HANG_UP_AFTER else (status, told)

    def _do(self, method: str, path: str, body: str) -> tuple[int, dict[str, Any]]:
        for (wanted, pattern), operation in _ROUTES.items():
            found = re.fullmatch(pattern.replace("{}", "([^/]+)"), path)
            if wanted == method and found:
                given = shapes.decode(body)
                try:
                    shapes.check(method, pattern, given)
                    made = operation(self.world, *found.groups(), given)
                except shapes.Wrong as wrong:
                    error = {"type": "invalid_request_error", "message": str(wrong), "param": wrong.param}
                    return 400, {"error": error}
                except Refused as refused:
                    return refused.status, refused.body
                return 200, json.loads(json.dumps(self.world.shown(made, given.get("expand"))))
        return 404, {"error": {"type": "invalid_request_error", "message": f"Unrecognized request URL {path}."}}


_REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    FAIL_BEFORE: (500, {"error": {"type": "api_error", "message": "An unknown error occurred."}}),
    CONFLICT: (409, {"error": {"type": "idempotency_error", "message": "Another request with this key is in flight."}}),
    BUSY: (429, {"error": {"type": "rate_limit_error", "message": "Too many requests.", "code": "rate_limit"}}),
}

_ROUTES: dict[tuple[str, str], Operation] = {
    ("post", "/v1/customers"): lambda world, given: world.create_customer(given),
    ("post", "/v1/checkout/sessions"): lambda world, given: world.create_session(given),
    ("get", "/v1/checkout/sessions/{}"): lambda world, one, given: world.get(one, "checkout.session"),
    ("post", "/v1/tax/calculations"): lambda world, given: world.create_calculation(given),
    ("post", "/v1/payment_intents"): lambda world, given: world.create_payment(given),
    ("get", "/v1/payment_intents"): lambda world, given: world.listed("payment_intent", given),
    ("get", "/v1/payment_intents/{}"): lambda world, one, given: world.get(one, "payment_intent"),
    ("post", "/v1/payment_intents/{}/confirm"): lambda world, one, given: world.confirm_payment(one, given),
    ("post", "/v1/payment_intents/{}/cancel"): lambda world, one, given: world.cancel_payment(one),
    ("post", "/v1/refunds"): lambda world, given: world.create_refund(given),
    ("get", "/v1/refunds/{}"): lambda world, one, given: world.get(one, "refund"),
    ("get", "/v1/disputes/{}"): lambda world, one, given: world.get(one, "dispute"),
    ("post", "/v2/core/accounts"): lambda world, given: world.create_account(given),
    ("get", "/v2/core/accounts/{}"): lambda world, one, given: world.account(one, given),
    ("post", "/v2/core/account_links"): lambda world, given: world.create_account_link(given),
    ("post", "/v1/payment_methods/{}/attach"): lambda world, one, given: world.attach_method(one, given),
    ("post", "/v1/checkout/sessions/{}/expire"): lambda world, one, given: world.expire_session(one),
    ("get", "/v1/disputes"): lambda world, given: world.listed("dispute", given),
    ("post", "/v1/disputes/{}"): lambda world, one, given: world.answer_dispute(one, given),
    ("post", "/v1/invoiceitems"): lambda world, given: world.create_invoice_item(given),
    ("post", "/v1/invoices"): lambda world, given: world.create_invoice(given),
    ("post", "/v1/invoices/{}/finalize"): lambda world, one, given: world.finalize_invoice(one),
    ("post", "/v1/invoices/{}/pay"): lambda world, one, given: world.pay_open(one, given),
    ("post", "/v1/invoices/{}/void"): lambda world, one, given: world.void(one),
    ("post", "/v1/invoices/{}/mark_uncollectible"): lambda world, one, given: world.give_up(one),
    ("get", "/v1/invoices/{}"): lambda world, one, given: world.get(one, "invoice"),
    ("get", "/v1/invoices/{}/lines"): lambda world, one, given: world.invoice_lines(one),
    ("get", "/v1/invoice_payments"): lambda world, given: world.list_payments(given),
    ("post", "/v1/billing/meters"): lambda world, given: world.create_meter(given),
    ("get", "/v1/billing/meters"): lambda world, given: world.listed("billing.meter", given),
    ("get", "/v1/billing/meters/{}/event_summaries"): lambda world, one, given: world.summaries(one, given),
    ("post", "/v1/billing/meter_events"): lambda world, given: world.count(given),
    ("post", "/v2/billing/meter_event_session"): lambda world, given: world.open_meter_session(),
    ("post", "/v2/billing/meter_event_stream"): lambda world, given: world.stream(given),
    ("get", "/v2/core/events/{}"): lambda world, one, given: world.thin_event(one),
    ("post", "/v1/prices"): lambda world, given: world.create_price(given),
    ("get", "/v1/prices"): lambda world, given: world.list_prices(given),
    ("post", "/v1/subscriptions"): lambda world, given: world.create_subscription(given),
    ("get", "/v1/subscriptions"): lambda world, given: world.list_subscriptions(given),
    ("post", "/v1/subscriptions/{}"): lambda world, one, given: world.update_subscription(one, given),
    ("get", "/v1/setup_intents/{}"): lambda world, one, given: world.get(one, "setup_intent"),
    ("delete", "/v1/subscriptions/{}"): lambda world, one, given: world.cancel_subscription(one, given),
    ("get", "/v1/subscription_items"): lambda world, given: world.list_items(given),
    ("post", "/v1/subscription_items"): lambda world, given: world.create_item(given),
    ("post", "/v1/transfers"): lambda world, given: world.create_transfer(given),
    ("get", "/v1/transfers"): lambda world, given: world.listed("transfer", given),
    ("get", "/v1/transfers/{}"): lambda world, one, given: world.get(one, "transfer"),
    ("get", "/v1/transfers/{}/reversals"): lambda world, one, given: world.reversals(one, given),
    ("get", "/v1/payouts/{}"): lambda world, one, given: world.get(one, "payout"),
    ("get", "/v1/balance"): lambda world, given: world.balance(),
    ("get", "/v1/events"): lambda world, given: world.listed("event", given),
    ("get", "/v1/balance_transactions"): lambda world, given: world.listed("balance_transaction", given),
}


def _handler(fake: FakeStripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer: without it Nagle costs 45 ms a call

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            self._answer("get", path, query)

        def do_DELETE(self) -> None:
            path, _, query = self.path.partition("?")
            self._answer("delete", path, query)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._answer("post", self.path, body)

        def _answer(self, method: str, path: str, body: str) -> None:
            answer = fake.answer(method, path, body, self.headers.get("Idempotency-Key", ""))
            if answer is None:
                self.close_connection = True
                return
            data = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler
