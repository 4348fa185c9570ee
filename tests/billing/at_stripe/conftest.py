"""The same scenarios at the fake Stripe, and in `make test-stripe` with STRIPE_TEST_KEY at a real test account."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from marketplace.models import Account
from tests.billing.at_stripe.door import Door
from tests.billing.conftest import Post
from tests.factories import marketplace as make
from tests.fakes.stripe.server import SECRET, THIN_SECRET

# Both are asked for: a key that happens to be exported sends no test to Stripe.
KEY = os.environ.get("STRIPE_TEST_KEY", "") if os.environ.get("AT_STRIPE") else ""
HERE = Path(__file__).parent
_SEQUENCE = "pg_get_serial_sequence('marketplace_account', 'id')"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The door out, for these tests alone."""
    for item in items:
        if KEY and item.path.parent == HERE:
            item.add_marker(pytest.mark.allow_hosts(["api.stripe.com", "127.0.0.1", "::1", "localhost"]))


@pytest.fixture
def door(request: pytest.FixtureRequest, settings: Any, post: Post) -> Iterator[Door]:
    """Stripe, real or not; whose it is says the environment."""
    if not KEY:
        request.getfixturevalue("stripe")
        yield Door(post, pause=0.0, looks=3)
        return
    if not KEY.startswith(("sk_test_", "rk_test_")):
        pytest.fail("STRIPE_TEST_KEY is no test key (sk_test_… or rk_test_…): nothing is done with another one.")
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = KEY, ""
    settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_THIN_WEBHOOK_SECRET = SECRET, THIN_SECRET
    yield Door(post, pause=2.0, looks=60)


@pytest.fixture
def customer(door: Door) -> Iterator[Account]:
    """An account whose number Stripe has never seen: our keys of calls are made of it, and Stripe keeps them a day."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT nextval({_SEQUENCE})")
        (before,) = cursor.fetchone()
        cursor.execute(f"SELECT setval({_SEQUENCE}, %s)", [number := time.time_ns() // 1_000])
    yield make.account(slug=f"t{number}")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT setval({_SEQUENCE}, %s)", [before])
