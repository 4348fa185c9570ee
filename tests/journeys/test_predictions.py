"""Hosted predictions on the whole system: published through the form, run by the official client, shot at."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import re
import signal
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image, ImageDraw
from redis import Redis
from replicate.client import Client

from marketplace.lib import money
from tests.journeys.hosting import (
    PASSWORD,
    Customer,
    assert_each_ended_and_was_charged_once,
    customer,
    published,
)
from tests.servers.system import LEASE_SECONDS, ROOT, System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".cog" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return content.getvalue()


def token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, page
    return found.group(1)


def signed_up(system: System) -> tuple[httpx.Client, str]:
    """A new user's browser, and the slug of the account."""
    name = f"maker{uuid.uuid4().hex[:8]}"
    browser = httpx.Client(base_url=system.base_url, follow_redirects=True, timeout=30)
    page = browser.get("/accounts/signup/").text
    given = {"email": f"{name}@example.com", "password1": PASSWORD, "password2": PASSWORD}
    answer = browser.post("/accounts/signup/", data={**given, "csrfmiddlewaretoken": token(page)})
    assert answer.status_code == 200, answer.text
    return browser, name


def publish_by_form(browser: httpx.Client, folder: Path, name: str) -> str:
    """Upload the folder as a zip and watch it build; the build's page once it has ended."""
    fields = {
        "slug": name,
        "hardware": "cpu",
        "visibility": "public",
        "csrfmiddlewaretoken": token(browser.get("/publish").text),
    }
    files = {"archive": (f"{name}.zip", zipped(folder), "application/zip")}
    answer = browser.post("/publish", data=fields, files=files)
    assert "/publish/builds/" in str(answer.url), answer.text
    pages: list[str] = []

    def over() -> bool:
        pages.append(browser.get(str(answer.url)).text)
        return "hx-get" not in pages[-1]

    wait_until(over, within=180, what="the build has ended")
    return pages[-1]


def test_a_new_user_publishes_by_the_form_and_others_run_it_with_the_official_client(live: System) -> None:
    browser, owner = signed_up(live)
    with contextlib.closing(browser):
        page = publish_by_form(browser, ROOT / "examples" / "hello-text", "hello")
    assert "Published as version" in page, page
    payer = customer(live)
    with official_client(payer) as client:
        run_by(client, owner)
    assert_each_ended_and_was_charged_once(payer)
    books = payer.books()
    for row, shares in zip(books["predictions"], books["shares"], strict=True):
        assert row["amount_nano"] == row["run_ms"] * 100
        royalty, platform = (share["amount_nano"] for share in shares)
        assert royalty == row["amount_nano"] // 10
        assert royalty + platform == row["amount_nano"]


@contextlib.contextmanager
def official_client(of: Customer) -> Iterator[Client]:
    """The 1.x client, its connections closed at the end (it has no way of its own to do so)."""
    client = Client(api_token=of.key, base_url=of.system.base_url)
    try:
        yield client
    finally:
        client._client.close()


def run_by(client: Client, owner: str) -> None:
    assert "".join(client.run(f"{owner}/hello", input={"text": "you", "times": 2})) == "hello you, hello you"
    version = client.models.get(f"{owner}/hello").latest_version
    assert version is not None
    output = client.run(f"{owner}/hello:{version.id}", input={"text": "again"}, wait=False)
    assert "".join(output) == "hello again"
    made = client.predictions.create(version=version, input={"text": "slow", "times": 50, "seconds": 50})

    def runs() -> bool:
        made.reload()
        return made.status == "processing"

    wait_until(runs, within=20, what="it runs")
    made.cancel()
    made.reload()
    assert made.status == "canceled"
    assert client.predictions.list().results[0].id == made.id


def drawn() -> bytes:
    """A red square, a blue circle and a green rectangle on white."""
    picture = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 30, 119, 129), fill="red")
    draw.ellipse((200, 40, 299, 139), fill="blue")
    draw.rectangle((50, 180, 349, 259), fill="green")
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


SHAPES = {"square": (20, 30, 100, 100), "circle": (200, 40, 100, 100), "rectangle": (50, 180, 300, 80)}


def test_shapes_of_a_drawn_picture_are_found_and_paid_for_by_the_millisecond(live: System) -> None:
    browser, owner = signed_up(live)
    with contextlib.closing(browser):
        page = publish_by_form(browser, ROOT / "examples" / "detect-shapes", "detect-shapes")
        assert "Published as version" in page, page
        payer = customer(live)
        with official_client(payer) as client:
            found: Any = client.run(f"{owner}/detect-shapes", input={"image": io.BytesIO(drawn()), "annotate": True})
        assert_shapes(found["boxes"])
        annotated = httpx.get(found["annotated"])
        assert annotated.content.startswith(b"\x89PNG")
        data_uri = f"data:image/png;base64,{base64.b64encode(drawn()).decode()}"
        assert_shapes(payer.predict(f"{owner}/detect-shapes", wait=30, image=data_uri)["output"]["boxes"])
    assert_each_ended_and_was_charged_once(payer)
    books = payer.books()
    assert len(books["charges"]) == 2
    usage = usage_page(payer)
    for _, amount in books["charges"]:
        assert f"${money.format_usd(amount)}" in usage
    for row, shares in zip(books["predictions"], books["shares"], strict=True):
        assert row["amount_nano"] == row["run_ms"] * 100
        assert sum(share["amount_nano"] for share in shares) == row["amount_nano"]


def usage_page(of: Customer) -> str:
    with httpx.Client(base_url=of.system.base_url, follow_redirects=True, timeout=30) as browser:
        page = browser.get("/accounts/login/").text
        given = {"login": of.email, "password": PASSWORD, "csrfmiddlewaretoken": token(page)}
        assert browser.post("/accounts/login/", data=given).status_code == 200
        return browser.get("/usage").text


def assert_shapes(boxes: list[dict[str, Any]]) -> None:
    assert {box["label"] for box in boxes} == set(SHAPES)
    for box in boxes:
        assert all(abs(is_at - at) <= 2 for is_at, at in zip(box["box"], SHAPES[box["label"]], strict=True)), box


def test_a_worker_that_is_killed_loses_no_prediction_and_charges_once(live: System) -> None:
    payer, version = customer(live), published(live, "hello-text")
    made = payer.predict(version, text="a", times=5, seconds=5)
    payer.until(made["id"], "processing")
    live.kill("worker")
    done = payer.until(made["id"], within=2 * LEASE_SECONDS + 20)
    assert done["status"] == "succeeded"
    assert "".join(done["output"]) == "hello a, hello a, hello a, hello a, hello a"
    assert 5 <= done["metrics"]["predict_time"] < 5 + LEASE_SECONDS  # not what the first worker took
    [row] = payer.books()["predictions"]
    assert row["attempts"] == 2
    assert_each_ended_and_was_charged_once(payer)


def test_a_model_process_that_is_killed_ends_its_prediction_once(live: System) -> None:
    payer, version = customer(live), published(live, "hello-text")
    made = payer.predict(version, text="a", times=100, seconds=100)
    payer.until(made["id"], "processing")
    code = "from django.conf import settings; from execution.agent import status; result = status.ask(var=settings.VAR)"
    # What an earlier test left running may be busy too.
    busy = [one for one in live.query(code)["instances"] if one["state"] == "busy"]
    assert busy
    for one in busy:
        os.kill(one["pid"], signal.SIGKILL)
    done = payer.until(made["id"], within=2 * LEASE_SECONDS)
    assert done["status"] == "failed"
    assert done["error"]
    assert_each_ended_and_was_charged_once(payer)
    assert payer.predict(version, wait=30, text="next")["status"] == "succeeded"


def test_web_that_is_killed_leaves_the_prediction_running(live: System) -> None:
    payer, version = customer(live), published(live, "hello-text")
    broken: list[Exception] = []

    def wait() -> None:
        try:
            payer.predict(version, wait=30, text="a", times=4, seconds=4)
        except httpx.TransportError as error:
            broken.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(
        lambda: any(row["status"] == "processing" for row in payer.books()["predictions"]), within=20, what="it runs"
    )
    live.kill("web")
    waiting.join(30)
    assert broken
    wait_until(live.is_healthy, within=10, what="web answers again")
    [row] = payer.books()["predictions"]
    assert payer.until(row["id"])["status"] == "succeeded"
    assert payer.books()["predictions"][0]["attempts"] == 1
    assert_each_ended_and_was_charged_once(payer)


def test_work_goes_on_when_the_broker_has_lost_everything(live: System) -> None:
    payer, version = customer(live), published(live, "hello-text")
    assert payer.predict(version, wait=30, text="warm")["status"] == "succeeded"
    made = [payer.predict(version, text=str(number), seconds=1)["id"] for number in range(6)]
    empty_broker(live)
    for one in made:
        assert payer.until(one, within=15)["status"] == "succeeded"
    alone = payer.predict(version, text="alone")["id"]
    empty_broker(live)
    assert payer.until(alone, within=5)["status"] == "succeeded"
    assert_each_ended_and_was_charged_once(payer)


def empty_broker(system: System) -> None:
    if system.redis is not None:
        with Redis.from_url(system.redis.url) as broker:
            broker.flushall()
    else:
        for path in (system.var / "broker" / "queue").glob("*"):
            path.unlink(missing_ok=True)


def test_a_hundred_identical_posts_have_one_effect(live: System) -> None:
    payer, version = customer(live), published(live, "hello-text")
    body = {"version": version, "input": {"text": "once"}}

    async def all_at_once() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {payer.key}", "Idempotency-Key": "the one"}
        async with httpx.AsyncClient(base_url=live.base_url, headers=headers, timeout=60) as client:
            return await asyncio.gather(*(client.post("/v1/predictions", json=body) for _ in range(100)))

    answers = asyncio.run(all_at_once())
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    [row] = payer.books()["predictions"]
    payer.until(row["id"])
    assert_each_ended_and_was_charged_once(payer)


_IDLE = """
from marketplace.models import Hardware, Model, Version
from marketplace.services import prices
from execution.services import predictions
version = predictions.resolve(reference={reference!r}, account_id=0)
machine, made = Hardware.objects.get_or_create(sku="gpu-nobody", defaults={{"name": "Nobody has it"}})
prices.set_prices(hardware=machine, prices={{"hardware_ms": 100}})
model, _ = Model.objects.get_or_create(
    publisher=version.model.publisher, slug="idle", defaults={{"name": "Idle", "hardware": machine}}
)
Version.objects.get_or_create(
    id="1" * 64,
    defaults={{"model": model, "cog_version": "0", "openapi_schema": version.openapi_schema, "build_path": "none"}},
)
result = model.full_slug
"""


_MADE = """
from execution.models import Prediction
result = Prediction.objects.filter(account_id={account_id}).count()
"""
_CANCEL_ALL = """
from execution.models import Prediction
from execution.services import predictions
rows = list(Prediction.objects.filter(account_id={account_id}).values_list("pk", flat=True))
result = [predictions.cancel(account_id={account_id}, prediction_id=one).status for one in rows]
"""


def test_five_hundred_waits_hold_few_threads_and_connections(live: System) -> None:
    payer = customer(live)
    name = live.query(_IDLE.format(reference=published(live, "hello-text")))
    web = psutil.Process(live.pid("web"))
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((web.num_threads(), connections(web)))

    async def wait_all() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {payer.key}", "Prefer": "wait=60"}
        limits = httpx.Limits(max_connections=600)
        async with httpx.AsyncClient(base_url=live.base_url, headers=headers, timeout=120, limits=limits) as client:
            body = {"version": name, "input": {"text": "a"}}
            posts = [asyncio.create_task(client.post("/v1/predictions", json=body)) for _ in range(500)]
            while await asyncio.to_thread(live.query, _MADE.format(account_id=payer.account_id)) < 500:
                look()
                await asyncio.sleep(0.5)
            for _ in range(4):  # all of them wait now
                look()
                await asyncio.sleep(0.5)
            await asyncio.to_thread(live.query, _CANCEL_ALL.format(account_id=payer.account_id))
            return await asyncio.gather(*posts)

    answers = asyncio.run(wait_all())
    # A machine that takes a minute for making them lets the first go before the last has come.
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} <= {
        (201, "canceled"),
        (202, "starting"),
    }
    assert max(threads for threads, _ in seen) < 30
    assert 0 < max(held for _, held in seen) < 10
    assert_each_ended_and_was_charged_once(payer)


def connections(web: psutil.Process) -> int:
    """Database connections of a process: open SQLite files, or sockets to PostgreSQL."""
    files = sum(file.path.endswith(".sqlite3") for file in web.open_files())
    sockets = sum(1 for one in web.net_connections("all") if is_postgres(one.raddr))
    return files + sockets


def is_postgres(address: Any) -> bool:
    return (isinstance(address, str) and ".s.PGSQL." in address) or getattr(address, "port", 0) in POSTGRES_PORTS


POSTGRES_PORTS: set[int] = set()


@pytest.fixture(autouse=True)
def _postgres_port(live: System) -> None:
    POSTGRES_PORTS.clear()
    if live.postgres is not None:
        POSTGRES_PORTS.add(live.postgres.port)
