"""Webhooks: only what Stripe signed, with the secret of that address, and not an empty one."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from billing.models import InboxEvent
from tests.billing.conftest import begin
from tests.factories import marketplace as make
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.server import SECRET

EVENT = {"id": "evt_1", "object": "event", "type": "payout.paid", "data": {"object": {"id": "po_1"}}}
THIN = {
    "id": "evt_2",
    "object": "v2.core.event",
    "type": "v1.billing.meter.no_meter_found",
    "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
}


def send(body: bytes, signature: str, path: str = "/webhooks/stripe") -> int:
    """The status."""
    headers = {"stripe-signature": signature}
    return Client().post(path, body, content_type="application/json", headers=headers).status_code


def test_a_signed_event_is_kept_once_and_what_does_not_concern_us_is_done(stripe: FakeStripe, db: None) -> None:
    for _ in range(3):
        assert send(*stripe.signed(EVENT)) == 200
    row = InboxEvent.objects.get()
    assert (row.pk, row.type, row.object_id, row.is_done) == ("evt_1", "payout.paid", "po_1", True)


def test_thin_events_have_an_address_and_a_secret_of_their_own(stripe: FakeStripe, db: None) -> None:
    assert send(*stripe.signed(THIN, "whsec_thin"), "/webhooks/stripe/thin") == 200
    assert InboxEvent.objects.get().object_id == "mtr_1"
    assert send(*stripe.signed(THIN), "/webhooks/stripe/thin") == 400


@pytest.mark.parametrize("secret", ["whsec_wrong", ""])
def test_another_signature_is_refused(stripe: FakeStripe, db: None, secret: str) -> None:
    assert send(*stripe.signed(EVENT, secret)) == 400
    assert not InboxEvent.objects.exists()


def test_an_empty_secret_refuses_even_what_is_signed_with_it(stripe: FakeStripe, db: None, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert send(*stripe.signed(EVENT, "")) == 400
    assert send(*stripe.signed(EVENT, SECRET)) == 400


@pytest.mark.parametrize("offset", [-400, 400])
def test_old_and_future_signatures_are_refused(stripe: FakeStripe, db: None, offset: int) -> None:
    assert send(*stripe.signed(EVENT, timestamp=int(time.time()) + offset)) == 400


def test_a_changed_body_is_refused(stripe: FakeStripe, db: None) -> None:
    body, signature = stripe.signed(EVENT)
    assert send(body.replace(b"po_1", b"po_2"), signature) == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"id": 1, "type": "x"}'])
def test_what_is_no_event_is_refused(stripe: FakeStripe, db: None, body: bytes) -> None:
    import stripe as library

    signature = library.WebhookSignature.generate_signature_header(body.decode(errors="replace"), SECRET)
    assert send(body, signature) == 400
    assert not InboxEvent.objects.exists()


def test_a_payment_of_ours_is_credited_by_its_webhook_alone(stripe: FakeStripe, db: None) -> None:
    topup = begin(make.account())
    stripe.world.pay(topup.session_id)
    event = next(one for one in stripe.world.events if one["type"] == "checkout.session.completed")
    assert send(*stripe.signed(event)) == 200
    topup.refresh_from_db()
    assert topup.state == "paid"
