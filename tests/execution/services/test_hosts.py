"""Which host is rung, what a free worker takes, and what workers say of themselves."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from execution import limits
from execution.agent.agent import Agent
from execution.models import Host, Prediction
from execution.services import builds, hosts, runs
from execution.services.hosts import Voice, Worker
from marketplace.models import Version
from tests.factories.execution import hosted, payer, predict

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = Worker(name="me:1", hardware="cpu", queue="at-me")


def lives(name: str, **said: Any) -> Host:
    return Host.objects.create(name=name, **{"hardware": "cpu", "queue": f"at-{name}"} | said)


def rung(version: Version) -> str:
    return hosts.queue_for(version=version, hardware="cpu", otherwise="hw-cpu")


def warm(room: int, **pace: float) -> dict[str, Any]:
    return {"room": room, "serving": max(1, room), **pace}


def test_a_run_goes_to_the_warm_host_then_to_one_with_the_build_and_never_to_a_silent_one() -> None:
    version = hosted()
    silent = timezone.now() - limits.LEASE - dt.timedelta(seconds=1)
    lives("silent", instances={version.pk: warm(9)}, stored=[version.pk], beat_at=silent)
    lives("empty", free=8)
    lives("built", free=1, stored=[version.pk])
    lives("warm", instances={version.pk: warm(1)}, stored=[version.pk])
    lives("other", hardware="gpu-t4", free=4, instances={version.pk: warm(1)}, stored=[version.pk])
    # Three at once: what was sent is remembered until the host speaks again. The third waits for who becomes free.
    assert [rung(version) for _ in range(3)] == ["at-warm", "at-built", "hw-cpu"]
    Host.objects.filter(name="built").update(beat_at=timezone.now())
    assert rung(version) == "at-built"


def test_one_worker_is_rung_by_its_hardwares_queue() -> None:
    version = hosted()
    lives("only", free=1, stored=[version.pk])
    assert rung(version) == "hw-cpu"


def test_another_instance_is_started_only_where_it_is_sooner_and_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = predict(payer(), hosted())
    assert hosts.may_open(prediction=made, hardware="cpu")
    other = lives("other", stored=[made.version_id])
    assert not hosts.may_open(prediction=made, hardware="cpu")  # the build lies there, not here
    later = timezone.now() + hosts.COPY_AFTER
    assert hosts.may_open(prediction=made, hardware="cpu", now=later)  # and all is in use there, for a while
    Host.objects.update(free=1)
    assert not hosts.may_open(prediction=made, hardware="cpu", now=later)
    Host.objects.update(free=0)
    other.stored, other.instances = [], {made.version_id: warm(1, start=10.0, run=2.0)}
    other.save()
    assert not hosts.may_open(prediction=made, hardware="cpu")  # two seconds behind what runs, or ten of a start
    other.instances = {made.version_id: warm(1, start=10.0, run=10.0 + hosts.COPY_SECONDS - 1)}
    other.save()
    assert not hosts.may_open(prediction=made, hardware="cpu")  # its build would have to be made first
    other.instances = {made.version_id: warm(1, start=10.0, run=10.0 + hosts.COPY_SECONDS + 1)}
    other.save()
    assert hosts.may_open(prediction=made, hardware="cpu")
    monkeypatch.setattr(builds, "folder", lambda path: tmp_path)
    other.instances = {made.version_id: warm(1, start=10.0, run=11.0)}
    other.save()
    assert hosts.may_open(prediction=made, hardware="cpu")


def test_a_worker_says_what_it_has_and_takes_first_what_is_warm(agent: Agent, hello: Version) -> None:
    who = payer()
    made = predict(who, hello, given={"text": "a"})
    assert runs.work(agent=agent, prediction_id=made.pk, hardware="cpu", owner="test") == 1
    voice = Voice(worker=WORKER, agent=agent)
    voice.say()
    said = Host.objects.get()
    assert (said.queue, said.hardware, said.stored) == ("at-me", "cpu", [hello.pk])
    there = said.instances[hello.pk]
    # One, or both: the agent is that of all tests, and another may have warmed its second place.
    assert there["room"] == there["serving"] == sum(seat.version == hello.pk for seat in agent.outlook()[0])
    assert there["start"] > 0
    assert there["run"] >= 0
    assert said.free + len(agent.outlook()[0]) == 2
    cold = predict(who, hosted(slug="cold", version_id="c" * 64))
    own = predict(who, hello, given={"text": "b"})
    assert hosts.next_run(agent=agent, hardware="cpu") == own.pk
    Prediction.objects.filter(pk=cold.pk).update(created_at=timezone.now() - dt.timedelta(minutes=1))
    assert hosts.next_run(agent=agent, hardware="cpu") == cold.pk
    voice.say(now=timezone.now() - limits.LEASE * 2)
    hosts.forget_lost(now=timezone.now())
    assert not Host.objects.exists()
    voice.say()
    voice.leave()
    assert not Host.objects.exists()
