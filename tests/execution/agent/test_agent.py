"""The host's agent with real models: warm reuse, slots, eviction, orphans, draining."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from execution.agent import status
from execution.agent.agent import Agent
from execution.runtimes.base import Alive, Finished, InstanceSpec, Output, RunLimits, SetupFailed
from execution.scheduling.seats import Capacity
from tests.execution.workshop import EXAMPLES, needs_walls

pytestmark = needs_walls

BROKEN = """
    from cog import BaseRunner
    class Runner(BaseRunner):
        def setup(self):
            raise RuntimeError("no weights")
        def run(self) -> str:
            return "x"
"""


@pytest.fixture
def agent(workshop):
    made = Agent(hardware="cpu", capacity=Capacity(seats=2), var=workshop.var)
    made.start()
    yield made
    made.stop()
    deadline = time.monotonic() + 30  # instances that were evicted stop in threads of their own
    while any((workshop.var / "instances").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
def specs(workshop):
    """Three versions of the same build."""
    folder = workshop.build(EXAMPLES / "hello-text").folder
    return [InstanceSpec(version_id=name, build=folder, limits=RunLimits()) for name in "abc"]


def run(lease, **given):
    events = list(lease.predict(prediction_id=f"p{time.monotonic_ns()}", input=given, files={}, sink=lambda _: ""))
    assert isinstance(events[-1], Finished)
    return events


def test_a_second_prediction_does_not_start_the_model_again(agent, specs):
    with agent.acquire(specs[0]) as first:
        assert not first.was_warm
        assert run(first)[-1].status == "succeeded"
        pid = first.instance.pid
    with agent.acquire(specs[0]) as second:
        assert second.was_warm
        assert [one.value for one in run(second) if isinstance(one, Output)] == ["hello world"]
        assert second.instance.pid == pid


def test_full_slots_give_none_at_once_and_busy_ones_are_not_evicted(agent, specs):
    leases = [agent.acquire(spec) for spec in specs[:2]]
    began = time.monotonic()
    assert agent.acquire(specs[2]) is None
    assert agent.acquire(specs[0]) is None  # one prediction at a time on each
    assert time.monotonic() - began < 10  # nobody waits for a place
    for lease in leases:
        lease.release()
    again = agent.acquire(specs[2])
    assert again is not None
    again.release()


def test_the_least_recently_used_makes_room(agent, specs):
    pids = []
    for spec in specs[:2]:
        with agent.acquire(spec) as lease:
            run(lease)
            pids.append(lease.instance.pid)
    with agent.acquire(specs[0]) as lease:
        run(lease)
    with agent.acquire(specs[2]) as lease:
        run(lease)
    versions = {one["version"] for one in agent.describe()["instances"]}
    assert versions == {"a", "c"}
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pids[1]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pids[1])
    assert psutil.pid_exists(pids[0])


def test_idle_models_stop_after_their_time(workshop, specs):
    now = [1000.0]
    agent = Agent(hardware="cpu", capacity=Capacity(seats=2), var=workshop.var, idle_seconds=300, clock=lambda: now[0])
    lease = agent.acquire(specs[0])
    assert lease is not None
    with lease:
        run(lease)
    now[0] += 299
    assert agent.sweep() == 0
    now[0] += 2
    assert agent.sweep() == 1
    assert agent.describe()["instances"] == []
    agent.stop()


def test_what_is_kept_for_a_pool_is_its_alone_and_stays(workshop, specs):
    now = [1000.0]
    agent: Any = Agent(
        hardware="cpu", capacity=Capacity(seats=2), var=workshop.var, idle_seconds=300, clock=lambda: now[0]
    )
    kept = agent.keep(specs[0], pool="d")
    assert kept is not None
    assert agent.acquire(specs[0], pool="d") is None  # not before it has started
    kept.start()
    with agent.acquire(specs[0], pool="d") as lease:
        assert lease.was_warm
        pid = lease.instance.pid
    with agent.acquire(specs[0]) as other:  # the same version, for everybody
        assert run(other)[-1].status == "succeeded"
        assert other.instance.pid != pid
    now[0] += 1000
    assert agent.sweep() == 1
    with agent.acquire(specs[1]) as shared:
        run(shared)
    with agent.acquire(specs[2]) as shared:  # makes room, and not of what is kept
        run(shared)
        assert agent.keep(specs[1], pool="e") is None
    assert kept.is_sound
    kept.let_go()
    assert agent.acquire(specs[0], pool="d") is None
    agent.stop()
    deadline = time.monotonic() + 30
    while any((workshop.var / "instances").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_model_that_died_idle_is_not_handed_out_twice(agent, specs):
    with agent.acquire(specs[0]) as lease:
        run(lease)
        pid = lease.instance.pid
    psutil.Process(pid).kill()
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    with agent.acquire(specs[0]) as lease:
        assert lease.was_warm
        assert run(lease)[-1].status == "succeeded"
        assert lease.instance.pid != pid


def test_a_failing_setup_frees_its_slot_and_tells_why(agent, workshop):
    spec = InstanceSpec(version_id="broken", build=workshop.build(BROKEN).folder)
    lease = agent.acquire(spec)
    with pytest.raises(SetupFailed, match="no weights"):
        run(lease)
    lease.release()
    lease.release()
    assert agent.describe()["free"] == 2


def test_a_lease_given_back_while_the_model_starts_leaves_nothing(agent, specs):
    lease = agent.acquire(specs[0])
    events = lease.predict(prediction_id="p", input={}, files={}, sink=lambda _: "")
    starter = threading.Thread(target=lambda: next(events))
    starter.start()
    lease.release()
    starter.join()
    assert agent.describe()["instances"] == []


def test_many_at_once_get_at_most_the_slots(agent, specs):
    def work(number):
        lease = agent.acquire(specs[number % 3])
        if lease is None:
            return None
        with lease:
            return run(lease, seconds=0.05)[-1].status

    with ThreadPoolExecutor(12) as pool:
        ends = list(pool.map(work, range(30)))
    assert "succeeded" in ends
    assert set(ends) <= {"succeeded", None}
    assert len(agent.describe()["instances"]) <= 2


def test_other_processes_can_ask_for_the_status(agent, specs, workshop):
    assert (status.ask(var=workshop.var) or {})["free"] == 2
    with agent.acquire(specs[0]) as lease:
        run(lease)
        told = status.ask(var=workshop.var) or {}
        assert (told["hardware"], told["isolation"], told["free"]) == ("cpu", "process", 1)
        assert [(one["version"], one["state"]) for one in told["instances"]] == [("a", "busy")]
    agent.stop()
    assert status.ask(var=workshop.var) is None


def test_draining_waits_for_what_runs_and_takes_nothing_new(agent, specs):
    lease = agent.acquire(specs[0])
    ends = []

    def work():
        with lease:
            ends.append(run(lease, seconds=0.8)[-1].status)

    runner = threading.Thread(target=work)
    runner.start()
    time.sleep(0.3)
    agent.drain(seconds=20)
    runner.join()
    assert ends == ["succeeded"]
    assert agent.acquire(specs[0]) is None
    assert agent.describe()["instances"] == []


def test_alive_is_told_while_the_model_starts(agent, workshop):
    slow = BROKEN.replace('raise RuntimeError("no weights")', "__import__('time').sleep(1.5)")
    with agent.acquire(InstanceSpec(version_id="slow", build=workshop.build(slow).folder)) as lease:
        events = run(lease)
    assert sum(isinstance(one, Alive) for one in events) >= 3
    assert events[-1].status == "succeeded"


def test_an_orphan_is_reaped_by_pid_and_start_time_and_others_are_left(workshop):
    """Records of a dead owner: one process is the recorded one, the other only has its number."""
    orphan, stranger = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2))
    owner = subprocess.Popen([sys.executable, "-c", ""])
    owner.wait()
    try:
        for name, process, shift in (("aa", orphan, 0.0), ("bb", stranger, 100.0)):
            home = workshop.var / "instances" / name
            home.mkdir(parents=True)
            started = psutil.Process(process.pid).create_time() + shift
            record = {"pid": process.pid, "started_at": started, "owner_pid": owner.pid, "owner_started_at": 1.0}
            (home / "record.json").write_text(json.dumps({**record, "uid": None}))
        assert Agent(hardware="cpu", capacity=Capacity(seats=1), var=workshop.var).reap() == 1
        assert orphan.wait(timeout=30) == -9
        assert stranger.poll() is None
        assert list((workshop.var / "instances").iterdir()) == []
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()


def test_what_a_living_worker_owns_is_left_alone(workshop):
    home = workshop.var / "instances" / "cc"
    home.mkdir(parents=True)
    me = psutil.Process()
    record = {"pid": os.getpid(), "started_at": me.create_time(), "owner_pid": me.pid}
    (home / "record.json").write_text(json.dumps({**record, "owner_started_at": me.create_time(), "uid": None}))
    assert Agent(hardware="cpu", capacity=Capacity(seats=1), var=workshop.var).reap() == 0
    assert home.exists()
    (home / "record.json").unlink()
    home.rmdir()
