"""Signing webhooks the Standard Webhooks way: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>`.

Several signatures, with a space between, are for the time in which a secret is replaced.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32


def new_secret() -> str:
    """A fresh secret. Plain base64: the official 1.x client of the hosting API splits it at its only underscore."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def headers(
    *, secret: str, message_id: str, timestamp: int, content: bytes, older: Sequence[str] = ()
) -> dict[str, str]:
    """The three headers of a message; with `older` secrets their signatures too, so that a receiver can change over.

    Raises ValueError for a secret that is none: nothing leaves unsigned.
    """
    signed = f"{message_id}.{timestamp}.".encode() + content
    signatures = " ".join(f"v1,{_signature(one, signed)}" for one in (secret, *older))
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


def _signature(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise ValueError("a webhook secret is whsec_ and base64")
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
