"""Secrets open only with a key of ours and in their own place."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from marketplace.lib import crypto


def test_what_was_sealed_opens_in_its_place() -> None:
    token = crypto.encrypt({"api_key": "top"}, context="provider:a@https://a")
    assert "top" not in token
    assert crypto.decrypt(token, context="provider:a@https://a") == {"api_key": "top"}


def test_it_does_not_open_elsewhere() -> None:
    token = crypto.encrypt({"api_key": "top"}, context="provider:a@https://a")
    with pytest.raises(crypto.WrongSecret):
        crypto.decrypt(token, context="provider:a@https://evil")


def test_rotation_keeps_old_secrets_readable(settings: Settings) -> None:
    token = crypto.encrypt({"k": 1}, context="c")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    assert crypto.decrypt(token, context="c") == {"k": 1}


def test_without_its_key_it_stays_shut(settings: Settings) -> None:
    token = crypto.encrypt({"k": 1}, context="c")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(crypto.WrongSecret):
        crypto.decrypt(token, context="c")
