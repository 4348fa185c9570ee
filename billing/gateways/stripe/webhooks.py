"""Telling Stripe's webhooks from others. An empty secret refuses all."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson
import stripe

from marketplace.lib.errors import InvalidRequest

TOLERANCE: Final = 300


def verified(*, body: bytes, signature: str, secret: str) -> dict[str, Any]:
    """The event in a signed body, snapshot or thin. Raises InvalidRequest for anything else."""
    if not secret:
        raise InvalidRequest("This site has no webhook secret, so it takes no webhooks.")
    try:
        stripe.WebhookSignature.verify_header(body.decode(), signature, secret, TOLERANCE)
        event = orjson.loads(body)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise InvalidRequest("The signature does not fit this body and our secret, or is too old.") from error
    if not isinstance(event, dict) or not isinstance(event.get("id"), str) or not isinstance(event.get("type"), str):
        raise InvalidRequest("This is no event: it has no id and type.")
    if _moment(signature) > time.time() + TOLERANCE:  # the library looks only for what is too old
        raise InvalidRequest("The signature is from the future: see to the clocks.")
    return event


def _moment(signature: str) -> float:
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    return float(parts.get("t", "0"))
