"""Predictions on a real model process: the loop between the database and the agent."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import invariants
from billing.models import Charge, Wallet
from execution import limits
from execution.agent.agent import Agent
from execution.models import Prediction
from execution.scheduling.seats import Capacity
from execution.services import predictions, runs
from marketplace.models import Version
from tests.factories.execution import payer, predict

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _books_are_right() -> Iterator[None]:
    yield
    assert invariants.run() == []


def work(agent: Agent, prediction: Prediction) -> int:
    return runs.work(agent=agent, prediction_id=prediction.pk, hardware="cpu", owner="test")


@contextmanager
def working(agent: Agent, prediction: Prediction) -> Iterator[None]:
    def go() -> None:
        try:
            work(agent, prediction)
        finally:
            connection.close()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        assert not thread.is_alive()


def fresh(prediction: Prediction) -> Prediction:
    return Prediction.objects.get(pk=prediction.pk)


def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def run(agent: Agent, hello: Version, **given: Any) -> Prediction:
    made = predict(payer(), hello, given=given)
    work(agent, made)
    return fresh(made)


def test_a_prediction_runs_and_is_charged_by_the_millisecond(agent: Agent, hello: Version) -> None:
    row = run(agent, hello, text="you", times=3, seconds=0.6)
    assert row.status == "succeeded", row.error
    assert row.output == ["hello you, ", "hello you, ", "hello you"]
    assert "greeting 3 of 3" in row.logs
    assert 400 <= row.run_ms < 15_000  # 600 ms by a clock that hears of the start late when the machine is busy
    assert row.amount_nano == row.run_ms * 100
    assert row.metrics["predict_time"] == row.run_ms / 1000
    assert row.started_at is not None
    charge = Charge.objects.get()
    assert charge.amount_nano == row.amount_nano
    assert sum(share["amount_nano"] for share in charge.shares) == row.amount_nano


def test_the_second_prediction_finds_the_model_warm(agent: Agent, hello: Version) -> None:
    run(agent, hello, text="a")
    pids = [one["pid"] for one in agent.describe()["instances"]]
    run(agent, hello, text="b")
    assert [one["pid"] for one in agent.describe()["instances"]] == pids


def test_a_warm_run_asks_the_database_little(agent: Agent, hello: Version) -> None:
    """Each statement costs a third of a millisecond and more: docs/hosting-benchmark.md counts them."""
    run(agent, hello, text="a")
    made = predict(payer(), hello, given={"text": "b"})
    with CaptureQueriesContext(connection) as asked:
        assert work(agent, made) == 1
    statements = [query["sql"] for query in asked.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert fresh(made).status == "succeeded"
    assert len(statements) <= 20, "\n".join(statements)


def test_a_worker_takes_what_waits_from_the_database(agent: Agent, hello: Version) -> None:
    who = payer()
    made = [predict(who, hello, given={"text": str(number)}) for number in range(3)]
    assert work(agent, made[0]) == 3
    assert {fresh(one).status for one in made} == {"succeeded"}


def test_two_doorbells_are_one_run(agent: Agent, hello: Version) -> None:
    made = predict(payer(), hello, given={"text": "a", "seconds": 0.5})
    with working(agent, made), working(agent, made):
        pass
    assert fresh(made).status == "succeeded"
    assert fresh(made).output == ["hello a"]
    assert Charge.objects.count() == 1


def test_without_a_free_place_the_row_stays_for_another(agent: Agent, hello: Version) -> None:
    who = payer()
    made = [predict(who, hello, given={"text": "a", "times": 100, "seconds": 60}) for _ in range(2)]
    with working(agent, made[0]), working(agent, made[1]):
        until(lambda: all(fresh(one).status == "processing" for one in made))
        waiting = predict(who, hello, given={"text": "b"})
        assert work(agent, waiting) == 0
        assert [fresh(one).status for one in made] == ["processing"] * 2  # it did not wait for them
        assert fresh(waiting).status == "starting"
        for one in made:
            predictions.cancel(account_id=one.account_id, prediction_id=one.pk)
    assert fresh(waiting).status == "succeeded"  # whoever ended first took it


def test_output_is_there_while_it_runs_and_a_cancel_stops_it(agent: Agent, hello: Version) -> None:
    made = predict(payer(), hello, given={"text": "a", "times": 100, "seconds": 60})
    with working(agent, made):
        until(lambda: fresh(made).output)
        assert fresh(made).status == "processing"
        assert "greeting 1 of 100" in fresh(made).logs
        time.sleep(1)
        ended = predictions.cancel(account_id=made.account_id, prediction_id=made.pk)
        assert ended.status == "canceled"
        assert 1000 <= ended.run_ms < 30_000
        began = time.monotonic()
    assert time.monotonic() - began < 25  # of the minute that it would take
    row = fresh(made)
    assert (row.status, row.run_ms, row.amount_nano) == ("canceled", ended.run_ms, ended.amount_nano)
    assert Charge.objects.count() == 1


def test_a_wallet_that_runs_dry_stops_the_run(agent: Agent, hello: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOLD_AHEAD_MS", 4_000)
    monkeypatch.setattr(limits, "HOLD_MARGIN_MS", 1_500)
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.5)
    made = predict(payer("0.0005"), hello, given={"text": "a", "times": 100, "seconds": 60})
    work(agent, made)
    row = fresh(made)
    assert row.status == "canceled"
    assert row.error is not None
    assert row.error.startswith("The wallet is empty")
    wallet = Wallet.objects.get(account_id=made.account_id)
    assert wallet.balance_nano == 500_000 - (row.amount_nano or 0)
    assert wallet.held_nano == 0
    assert Charge.objects.get().bad_debt_nano == 0


def test_a_model_process_that_is_killed_fails_its_run_once(agent: Agent, hello: Version) -> None:
    made = predict(payer(), hello, given={"text": "a", "times": 100, "seconds": 60})
    with working(agent, made):
        until(lambda: fresh(made).status == "processing")
        time.sleep(0.5)
        [pid] = [one["pid"] for one in agent.describe()["instances"] if one["state"] == "busy"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: fresh(made).is_over)
    row = fresh(made)
    assert row.status == "failed"
    assert row.error
    assert Charge.objects.count() == 1
    assert run(agent, hello, text="next").status == "succeeded"


def test_an_output_that_is_no_file_where_its_type_says_so_fails_the_run(agent: Agent, hello: Version) -> None:
    hello.openapi_schema["components"]["schemas"]["Output"] = {"type": "string", "format": "uri"}
    hello.save()
    row = run(agent, hello, text="a")
    assert (row.status, row.error) == (
        "failed",
        "The model returned no path where its type says a file: return a cog.Path.",
    )
    assert row.amount_nano == row.run_ms * 100  # it ran: as for a run that raises


def test_a_file_that_cannot_be_fetched_fails_the_run_free_of_charge(agent: Agent, hello: Version) -> None:
    schema = hello.openapi_schema
    schema["components"]["schemas"]["Input"]["properties"]["text"]["format"] = "uri"
    Version.objects.filter(pk=hello.pk).update(openapi_schema=schema)
    hello.refresh_from_db()
    row = run(agent, hello, text="http://169.254.169.254/latest/meta-data")
    assert (row.status, row.amount_nano) == ("failed", 0)
    assert row.error is not None
    assert "could not be fetched" in row.error


def test_a_worker_that_is_stopped_gives_its_run_to_another(agent: Agent, hello: Version) -> None:
    leaving = Agent(hardware="cpu", capacity=Capacity(seats=1), var=Path(settings.VAR) / "leaving")
    made = predict(payer(), hello, given={"text": "a", "times": 3, "seconds": 3})
    with working(leaving, made):
        until(lambda: fresh(made).status == "processing")
        leaving.drain(seconds=0.1)
    row = fresh(made)
    assert (row.status, row.attempts, row.amount_nano) == ("starting", 1, None)
    assert work(agent, made) == 1
    row = fresh(made)
    assert (row.status, row.attempts) == ("succeeded", 2)
    assert Charge.objects.count() == 1
