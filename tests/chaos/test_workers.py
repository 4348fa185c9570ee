"""Predictions at once over two workers of which one is killed every few seconds: each ends once, is charged once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.journeys.hosting import Customer, assert_each_ended_and_was_charged_once, customer, published
from tests.servers.system import LEASE_SECONDS, ROOT, System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

PREDICTIONS = int(os.environ.get("CHAOS_PREDICTIONS", "100"))
KILL_SECONDS = 5.0
RUN_SECONDS = 1.0
# More than this many of them are killed three times only when something is wrong.
MOST_FAILED = PREDICTIONS // 10


class Second:
    """A second worker on the same data, beside the one under the supervisor; started again after each kill."""

    def __init__(self, system: System, **environment: str) -> None:
        self.system = system
        self.more = environment
        self.log = system.var / "log" / "worker-two.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "--app", "marketplace", "worker", "--pool", "threads"]
        command += ["--concurrency", "16", "--queues", "default,build,hw-cpu", "--hostname", "two@%h"]
        command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        environment = {**self.system.environment, **self.more, "DJANGO_SETTINGS_MODULE": "marketplace.settings"}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def is_ready(self) -> bool:
        return b"ready." in self.log.read_bytes()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def second_worker(system: System, **environment: str) -> Iterator[Second]:
    worker = Second(system, **environment)
    try:
        wait_until(worker.is_ready, within=60, what="the second worker is ready")
        yield worker
    finally:
        worker.end()


@contextmanager
def killing(system: System, second: Second) -> Iterator[list[str]]:
    """kill -9 for one of the two every few seconds, as long as this lasts; whom it met."""
    over, killed = threading.Event(), list[str]()

    def kill() -> None:
        choose = random.Random(5)
        while not over.wait(KILL_SECONDS):
            name = choose.choice(("worker", "second"))
            if name == "second":
                second.kill()
            elif "worker" in system.children():
                system.kill("worker")
            killed.append(name)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_each_prediction_ends_once_and_is_charged_once(grown: System) -> None:
    payer, version = customer(grown), published(grown, "hello-text")
    assert payer.predict(version, wait=60, text="warm")["status"] == "succeeded"
    began = time.monotonic()
    with second_worker(grown) as second, killing(grown, second) as killed:
        made = asyncio.run(all_at_once(payer, version))
        assert len(set(made)) == PREDICTIONS
        wait_until(lambda: nothing_is_open(payer), within=600, what="every prediction has ended")
    took = time.monotonic() - began
    wait_until(grown.worker_answers, within=60, what="the worker is back")
    books = payer.books()
    statuses = Counter(row["status"] for row in books["predictions"])
    attempts = Counter(row["attempts"] for row in books["predictions"])
    told = (
        f"{PREDICTIONS} predictions in {took:.0f} s, {len(killed)} kills: {dict(statuses)}, attempts {dict(attempts)}"
    )
    print(told)  # noqa: T201  what `make chaos` is asked for
    assert len(killed) >= took // (2 * KILL_SECONDS)
    assert set(statuses) <= {"succeeded", "failed"}
    assert statuses["failed"] <= MOST_FAILED
    for row in books["predictions"]:
        if row["status"] == "failed":
            assert "lost" in row["error"], row
    # What ends late does not end again, and no charge comes after: one more lease is waited for.
    time.sleep(LEASE_SECONDS + 2)
    assert payer.books()["predictions"] == books["predictions"]
    assert len(payer.books()["charges"]) == len(books["charges"])
    assert_each_ended_and_was_charged_once(payer)
    texts = [payer.get(one)["output"] for one in made[:10] if payer.get(one)["status"] == "succeeded"]
    assert {"".join(text) for text in texts} == {"hello a, hello a"}
    grown.manage("check_invariants")


async def all_at_once(
    payer: Customer, version: str, *, predictions: int = PREDICTIONS, seconds: float = RUN_SECONDS
) -> list[str]:
    headers = {"Authorization": f"Bearer {payer.key}"}
    body = {"version": version, "input": {"text": "a", "times": 2, "seconds": seconds}}
    async with httpx.AsyncClient(base_url=payer.system.base_url, headers=headers, timeout=120) as client:
        answers = await asyncio.gather(*(client.post("/v1/predictions", json=body) for _ in range(predictions)))
    assert {answer.status_code for answer in answers} == {201}, {answer.text for answer in answers}
    return [answer.json()["id"] for answer in answers]


def nothing_is_open(payer: Customer) -> bool:
    return all(row["status"] in {"succeeded", "failed", "canceled"} for row in payer.books()["predictions"])
