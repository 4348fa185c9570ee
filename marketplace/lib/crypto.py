"""Secrets at rest: Fernet tokens that are bound to the place they were written for."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class WrongSecret(Exception):
    """A token that no key of ours opens, or that was made for another place."""


def _keys() -> MultiFernet:
    # The first key encrypts, all decrypt: rotation is adding one in front and rewriting.
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(value: dict[str, Any], *, context: str) -> str:
    """Encrypt a JSON object for one place (such as "provider:openai@https://host"); text to store."""
    return _keys().encrypt(json.dumps({"context": context, "value": value}).encode()).decode()


def decrypt(token: str, *, context: str) -> dict[str, Any]:
    """The object that was encrypted for this very context.

    Raises WrongSecret when the key is gone or the context differs: credentials copied to
    another provider or origin do not open there.
    """
    try:
        opened = json.loads(_keys().decrypt(token.encode()))
    except InvalidToken:
        raise WrongSecret("the secret does not open with the configured keys") from None
    if opened["context"] != context:
        raise WrongSecret("the secret was stored for another place")
    value: dict[str, Any] = opened["value"]
    return value


def rotate(token: str) -> str:
    """The same secret, encrypted with the newest key. Raises WrongSecret when no key of ours opens it."""
    try:
        return _keys().rotate(token.encode()).decode()
    except InvalidToken:
        raise WrongSecret("the secret does not open with the configured keys") from None


def fingerprint(value: str) -> str:
    """Twelve hex digits that tell two secrets apart and that nobody without our key can search for."""
    return _fingerprint(value, settings.ENCRYPTION_KEYS[0])


def has_fingerprint(value: str, given: str) -> bool:
    """Whether the fingerprint is this value's, made with any of our keys."""
    return any(hmac.compare_digest(_fingerprint(value, key), given) for key in settings.ENCRYPTION_KEYS)


def _fingerprint(value: str, key: str | bytes) -> str:
    raw = key.encode() if isinstance(key, str) else key
    return hmac.new(raw, b"fingerprint:" + value.encode(), hashlib.sha256).hexdigest()[:12]
