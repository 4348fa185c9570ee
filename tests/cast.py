"""Browsers of the cast: Alice owns, Bob is a member, Charlie is a stranger. A conftest imports the fixtures."""

from __future__ import annotations

import pytest
from django.test import Client

from marketplace.models import Account
from tests.factories.marketplace import account, team, user


def logged_in(email: str) -> Client:
    """A browser in which this user has logged in; with CSRF checks off, as Django's client has them."""
    client = Client()
    client.force_login(user(email))
    return client


@pytest.fixture
def alice(db: None) -> Client:
    """Alice's browser, acting for her personal account."""
    account(email="alice@example.com", slug="alice")
    return logged_in("alice@example.com")


@pytest.fixture
def bob(db: None) -> Client:
    """Bob's browser."""
    account(email="bob@example.com", slug="bob")
    return logged_in("bob@example.com")


@pytest.fixture
def charlie(db: None) -> Client:
    """A stranger's browser."""
    account(email="charlie@example.com", slug="charlie")
    return logged_in("charlie@example.com")


@pytest.fixture
def shop(alice: Client, bob: Client) -> Account:
    """An organisation: Alice is its owner, Bob a plain member."""
    return team(slug="shop", members=("bob@example.com",))


def act_for(client: Client, slug: str) -> None:
    """Switch the browser to an account of its user."""
    assert client.post("/settings/switch", {"account": slug}).status_code == 302
