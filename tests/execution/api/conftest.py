"""Callers of the API."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from marketplace.lib import pool
from marketplace.models import Account
from marketplace.services import keys
from tests.factories.execution import payer


class Caller:
    """An account with a key, over Django's test client (the views themselves run async, on the real pool)."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.key, self.secret = keys.issue(account=account, name="test")
        self.client = Client(raise_request_exception=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {self.secret}", **headers})

    def delete(self, path: str) -> Any:
        return self.client.delete(path, headers={"Authorization": f"Bearer {self.secret}"})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = body if isinstance(body, str) else json.dumps(body or {})
        return self.client.post(
            path,
            content,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}", **headers},
        )

    def upload(self, path: str, **parts: Any) -> Any:
        return self.client.post(path, parts, headers={"Authorization": f"Bearer {self.secret}"})


@pytest.fixture
def caller() -> Caller:
    return Caller(payer())


@pytest.fixture
def stranger() -> Caller:
    return Caller(payer(email="eve@example.com", slug="eve"))


def read(response: Any) -> bytes:
    """A streamed answer's bytes, from an async view under the sync client."""

    async def gather() -> bytes:
        return b"".join([bytes(part) async for part in response])

    return asyncio.run(gather())


@pytest.fixture(scope="session", autouse=True)
def _pool_lets_go_of_the_database(django_db_setup: None) -> Iterator[None]:
    """At the end each thread of the web pool closes its connection: PostgreSQL drops no database that is in use."""
    yield
    threads = pool.EXECUTOR._max_workers
    together = threading.Barrier(threads)

    def close() -> None:
        together.wait(10)  # so that each thread takes exactly one
        connections.close_all()

    for done in [pool.EXECUTOR.submit(close) for _ in range(threads)]:
        done.result(15)
