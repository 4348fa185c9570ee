"""`make run`'s supervisor: children come back, none outlives it, and data stays."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from marketplace.demo import SIMULATED
from tests.servers.ports import free_port
from tests.servers.system import ROOT, System, busyness, wait_until

pytestmark = pytest.mark.live
CHILDREN = ["web", "worker", "beat", *(provider.slug for provider in SIMULATED)]


@pytest.fixture(scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system for this file alone, for it is killed over and over."""
    with System(tmp_path_factory.mktemp("supervised")) as system:
        yield system


@pytest.fixture
def system(_own: System) -> System:
    """Running, whatever the test before did to it."""
    if not _own.is_running():
        _own.start()
    return _own


def test_it_prints_what_a_newcomer_needs(system: System) -> None:
    shown = system.terminal
    assert f"Turnpike is ready:  {system.base_url}" in shown
    assert "demo@example.com" in shown
    assert system.demo["password"] in shown
    assert system.api_key in shown
    assert f"curl -N {system.base_url}/api/v1/chat/completions" in shown
    assert "{" + "chat_model}" not in shown


def test_the_demo_secrets_are_for_the_owner_only(system: System) -> None:
    assert stat.S_IMODE((system.var / "demo.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("child", CHILDREN)
def test_a_killed_child_is_whole_again_within_ten_seconds(system: System, child: str) -> None:
    killed = system.kill(child)
    died_at = time.monotonic()
    wait_until(lambda: system.children().get(child, killed) != killed, within=10, what=f"a new {child}")
    ticks = system.log("worker").count(" received")
    wait_until(lambda: is_whole(system, child, ticks=ticks), within=10, what=f"{child} at work again")
    assert time.monotonic() - died_at < 10 * busyness()


def test_ctrl_c_ends_every_process_and_a_second_start_keeps_the_data_and_takes_seconds(system: System) -> None:
    before, people = system.demo, system.query(COUNT)
    family = family_of(system)
    started = time.monotonic()
    assert system.stop(signal.SIGINT) == 0
    assert time.monotonic() - started < 20 * busyness()
    assert survivors(family) == []
    assert system.children() == {}
    started = time.monotonic()
    system.start()
    assert time.monotonic() - started < 20 * busyness()  # ten where nothing else runs
    assert system.demo == before
    assert system.query(COUNT) == people


def test_kill_9_of_the_supervisor_leaves_nothing_behind(system: System) -> None:
    family = family_of(system)
    os.kill(system.supervisor_pid, signal.SIGKILL)
    system.wait()
    wait_until(lambda: survivors(family) == [], within=10, what="the end of every process")
    system.start()
    assert system.is_healthy()


def test_two_supervisors_on_one_folder_are_refused(system: System) -> None:
    done = serve({**system.environment, "PORT": str(free_port())})
    assert done.returncode != 0
    assert "already runs" in done.stderr
    assert str(system.supervisor_pid) in done.stderr
    assert system.is_healthy()


def test_a_taken_port_is_named_with_the_way_out(system: System, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve({**system.environment, "TURNPIKE_VAR": str(tmp_path), "PORT": str(port)})
    assert done.returncode != 0
    assert f"make run PORT={port + 1}" in done.stderr


COUNT = "from marketplace.models import ApiKey, User; result = [User.objects.count(), ApiKey.objects.count()]"


def serve(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A `manage.py serve` that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "manage.py", "serve"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def is_whole(system: System, child: str, *, ticks: int) -> bool:
    """Whether the child does again what it is for; `ticks` is how many tasks the worker had received."""
    if child == "web":
        return system.is_healthy()
    if child == "worker":
        return system.worker_answers()
    if child == "beat":
        return system.log("worker").count(" received") > ticks
    return system.listens(system.simulated_ports[child])


def family_of(system: System) -> list[psutil.Process]:
    """The supervisor and all of its descendants."""
    supervisor = psutil.Process(system.supervisor_pid)
    family = [supervisor, *supervisor.children(recursive=True)]
    assert len(family) > len(CHILDREN)
    return family


def survivors(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those still running; psutil tells a process from a later one with the same pid."""
    return [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
