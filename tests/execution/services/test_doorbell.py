"""What one process of a host begins or ends, another sees by a ring and not by its next look."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection

from execution.agent.agent import Agent
from execution.models import Prediction
from execution.services import attempts, endings, waits
from execution.services.doorbell import Doorbell
from execution.states import Status
from marketplace.lib import bells, jobs
from marketplace.models import Version
from tests.execution.workshop import needs_walls
from tests.factories.execution import hosted, payer, predict
from tests.servers.system import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = 600.0


@needs_walls
@pytest.mark.timeout(240)
def test_a_prediction_is_begun_by_its_ring_without_a_broker_of_files(
    agent: Agent, hello: Version, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = ""
    sent: list[str] = []
    monkeypatch.setattr(jobs, "send", lambda name, **_: sent.append(name))
    doorbell = Doorbell(agent=agent, hardware="cpu", queue="hw-cpu", owner="test")
    try:
        row = predict(payer(), hello, given={"text": "you"})

        def is_over() -> bool:
            row.refresh_from_db()
            return row.status == Status.SUCCEEDED

        wait_until(is_over, within=60, what="the prediction has succeeded")
    finally:
        doorbell.close()
    assert (row.output, row.attempts, sent) == (["hello you"], 1, [])


def test_a_prediction_that_nobody_hears_goes_to_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(jobs, "send", lambda name, *, prediction_id, **_: sent.append(prediction_id))
    row = predict(payer(), hosted())
    assert sent == [row.pk]


def test_an_end_that_is_rung_needs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "INTERVAL", NEVER)
    row = predict(payer(), hosted())
    looks: list[list[str]] = []

    def goes_on(wanted: list[str]) -> dict[str, int]:
        looks.append(wanted)
        return dict.fromkeys(wanted, 0)

    monkeypatch.setattr(waits, "_live", goes_on)

    async def wait() -> bool:
        waiting = asyncio.create_task(waits.until_over(row.pk, seconds=60))
        while not looks:
            await asyncio.sleep(0.01)
        bells.ring(waits.TOPIC, row.pk)  # of another change
        bells.ring(waits.TOPIC, f"{row.pk} over")
        return await waiting

    assert asyncio.run(wait())
    assert len(looks) <= 2


@pytest.mark.parametrize("is_end", [True, False])
def test_who_waits_is_woken_by_the_ring(is_end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "INTERVAL", NEVER)  # a look of its own would come too late
    row = predict(payer(), hosted())
    attempt = attempts.begin(prediction_id=row.pk, owner="test", hardware="cpu")
    assert attempt is not None
    seen = Prediction.objects.get(pk=row.pk).revision

    def change() -> None:
        try:
            if is_end:
                endings.end(prediction_id=row.pk, status=Status.FAILED, run_ms=0)
            else:
                attempts.write(attempt, logs="a line\n")
        finally:
            connection.close()

    async def wait() -> bool:
        waiting = asyncio.create_task(waits.until_changed(row.pk, seen=seen, seconds=60))
        while not any(watch.task for watch in waits._watches.values()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # its first look is over
        other = threading.Thread(target=change)
        other.start()
        try:
            return await waiting
        finally:
            other.join()

    assert asyncio.run(wait())
