"""A Stripe of our own for the tests that take payments, and what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from billing.gateways.stripe import transport
from billing.models import Customer, TopUp
from billing.services import auto_topups, topups
from marketplace.models import Account
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.charges import GOOD
from tests.fakes.stripe.server import SECRET, THIN_SECRET

Post = Callable[[bytes, str], Any]
BACK = "http://testserver/credits"


@pytest.fixture
def stripe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    """Payments are on, and go to the fake."""
    # The pauses before trying again are Stripe's pace, not ours to wait for.
    monkeypatch.setattr(transport, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr("stripe._http_client.HTTPClient.INITIAL_DELAY", 0.001)
    monkeypatch.setattr("stripe._http_client.HTTPClient.MAX_DELAY", 0.001)
    with FakeStripe() as fake:
        settings.STRIPE_SECRET_KEY = "sk_test_fake"
        settings.STRIPE_API_BASE = fake.url
        settings.STRIPE_WEBHOOK_SECRET = SECRET
        settings.STRIPE_THIN_WEBHOOK_SECRET = THIN_SECRET
        yield fake


@pytest.fixture
def post() -> Post:
    """Sends a webhook to the portal."""

    def send(body: bytes, signature: str) -> Any:
        headers = {"stripe-signature": signature}
        answer = Client().post("/webhooks/stripe", body, content_type="application/json", headers=headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return send


@pytest.fixture
def post_thin() -> Post:
    """Sends a thin event to the portal."""

    def send(body: bytes, signature: str) -> Any:
        headers = {"stripe-signature": signature}
        answer = Client().post("/webhooks/stripe/thin", body, content_type="application/json", headers=headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return send


@pytest.fixture
def alice(db: None) -> Account:
    """An account without money."""
    return make.account()


def begin(account: Account, cents: int = 1000) -> TopUp:
    """A purchase whose page at Stripe is open."""
    user = make.user("alice@example.com")
    started = topups.start(account=account, user=user, amount_cents=cents, success_url=BACK, cancel_url=BACK)
    assert started.url.startswith("https://checkout.stripe.com/")
    started.topup.refresh_from_db()
    return started.topup


def with_card(fake: FakeStripe, account: Account, kind: str = GOOD, **rule: Any) -> Customer:
    """A saved card, and automatic top-up of $20 below $5, at most $100 a month."""
    customer = topups.customer_of(account=account, user=make.user("alice@example.com"))
    customer.payment_method_id = fake.world.save_card(customer.customer_id, kind)
    customer.card = "Visa ending 4242"
    customer.save()
    given = {"threshold_nano": 5 * 10**9, "amount_cents": 2000, "cap_cents": 10_000} | rule
    auto_topups.configure(account=account, is_enabled=True, **given)
    return customer
