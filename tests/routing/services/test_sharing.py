"""Web processes that share what they see: two real servers and a real Redis; and that its loss slows nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection
from redis import Redis as Client

from routing.canonical import UpstreamError
from routing.services import sharing
from routing.services.health import Health
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.servers.binaries import redis_server
from tests.servers.ports import free_port
from tests.servers.redis import Redis
from tests.servers.system import ROOT, wait_until

Simulate = Callable[..., Simulated]
DOWN = UpstreamError("x", kind="unavailable", retryable=True, status=503)
SECRET = b"one installation's"


@pytest.fixture
def redis() -> Iterator[Redis]:
    if redis_server() is None:
        pytest.skip("Redis is not installed")
    with Redis() as server:
        yield server


@contextlib.contextmanager
def web(folder: Path, *, redis_url: str, private: list[int]) -> Iterator[str]:
    """A web process of its own on this test's database; its address."""
    found = connection.settings_dict
    where = f"{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{where}", "REDIS_URL": redis_url, "SECRET_KEY": SECRET.decode(),
        "ENCRYPTION_KEYS": " ".join(settings.ENCRYPTION_KEYS), "TURNPIKE_VAR": str(folder),
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
        "TURNPIKE_PRIVATE_ORIGINS": ",".join(f"127.0.0.1:{one}" for one in private),
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "marketplace.asgi:application", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), within=60, what="the web process answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return False


def ask(address: str, key: str) -> None:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{address}/api/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


@pytest.mark.postgres
def test_what_one_server_sees_fail_another_leaves_alone(
    alice: Buyer, simulate: Simulate, redis: Redis, tmp_path: Path
) -> None:
    cheap, dear = simulate("sim-cheap"), simulate("sim-dear")
    endpoint(cheap.base_url, provider="sim-cheap", per_million={"prompt": "0.01", "completion": "0.01"})
    endpoint(dear.base_url, provider="sim-dear", per_million={"prompt": "9.00", "completion": "9.00"})
    cheap.order("401", always=True)  # refused credentials shut an endpoint for a minute, at the first call
    private = [cheap.port, dear.port]
    with (
        web(tmp_path / "one", redis_url=redis.url, private=private) as one,
        web(tmp_path / "two", redis_url=redis.url, private=private) as two,
        web(tmp_path / "alone", redis_url="", private=private) as alone,
        Client.from_url(redis.url) as spy,
    ):
        ask(one, alice.key)
        assert cheap.calls == 1
        wait_until(lambda: spy.xlen(sharing.STREAM), within=30, what="the first server tells what it saw")
        time.sleep(2)  # what is told takes milliseconds to be heard; this machine may be busy
        ask(two, alice.key)
        assert cheap.calls == 1, "the second server knew"
        ask(alone, alice.key)
        assert cheap.calls == 2, "who hears nothing has to find out"
    assert dear.calls == 3


def fail(health: Health, endpoint_id: int) -> None:
    for _ in range(3):
        health.failed(health.begin(endpoint_id, tokens=10), DOWN)


def is_open(health: Health, endpoint_id: int) -> bool:
    found = health.router.standings.get(endpoint_id)
    return found is not None and found.breaker.is_open


def test_sharing_goes_on_after_redis_was_away(redis: Redis) -> None:
    async def story() -> None:
        one, two = Health(), Health()
        both = [asyncio.ensure_future(sharing.Sharing(it, url=redis.url, secret=SECRET).run()) for it in (one, two)]
        try:
            await asyncio.sleep(0.5)
            await asyncio.to_thread(redis.stop)
            fail(one, 1)
            assert is_open(one, 1)
            assert not is_open(two, 1)
            await asyncio.to_thread(redis.start)
            for endpoint_id in range(2, 60):  # until one is told
                fail(one, endpoint_id)
                await asyncio.sleep(0.5)
                if any(is_open(two, known) for known in two.router.standings):
                    return
            raise AssertionError("nothing was heard within half a minute")
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    asyncio.run(story())


def test_a_redis_that_takes_connections_and_never_answers_slows_nobody() -> None:
    async def story() -> None:
        health = Health()
        task = asyncio.ensure_future(sharing.Sharing(health, url=url, secret=SECRET).run())
        await asyncio.sleep(0.2)
        for _ in range(100):  # a thousandth of what one silent answer would take
            health.failed(health.begin(1, tokens=10), DOWN)
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        asyncio.run(asyncio.wait_for(story(), 30))


def test_garbage_in_the_stream_is_passed_over(redis: Redis) -> None:
    async def story() -> None:
        one, two = Health(), Health()
        with Client.from_url(redis.url) as vandal:
            for fields in ({"report": b"\xff" * 50}, {"other": b"1"}, {"report": b""}, {"report": b"x" * 300_000}):
                vandal.xadd(sharing.STREAM, dict[Any, Any](fields))
        both = [asyncio.ensure_future(sharing.Sharing(it, url=redis.url, secret=SECRET).run()) for it in (one, two)]
        try:
            fail(one, 1)
            async with asyncio.timeout(30):
                while not is_open(two, 1):
                    await asyncio.sleep(0.05)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    asyncio.run(story())
