"""The supervisor with small programs: back-off, order, logs, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from marketplace import supervisor
from marketplace.supervisor import AlreadyRunning, Program, StepFailed, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def said() -> list[str]:
    """What the supervisor told the terminal."""
    return []


@pytest.fixture
async def children(tmp_path: Path, said: list[str]) -> Supervisor:
    made = Supervisor(var=tmp_path, environment=dict(os.environ), say=said.append)
    await made.prepare()
    return made


def python(code: str) -> tuple[str, ...]:
    """A command line that runs a piece of Python."""
    return (sys.executable, "-u", "-c", textwrap.dedent(code))


async def until(condition: Callable[[], object], *, within: float = 30) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)


SLEEP = python("import time; print('up'); time.sleep(300)")


async def test_a_child_runs_logs_and_stops(children: Supervisor, said: list[str], tmp_path: Path) -> None:
    children.start(Program("sleeper", SLEEP))
    await until(lambda: "up" in supervisor.tail(tmp_path / "log" / "sleeper.log"))
    pid = int((tmp_path / "run" / "sleeper.pid").read_text())
    await children.stop()
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / "run" / "sleeper.pid").exists()
    assert said == [f"sleeper started (pid {pid})", "sleeper stopped"]


async def test_a_killed_child_comes_back_and_its_own_children_go(children: Supervisor, tmp_path: Path) -> None:
    fork = "import subprocess, time; p = subprocess.Popen(['sleep', '300']); print('model', p.pid); time.sleep(300)"
    children.start(Program("parent", python(fork)))
    log = tmp_path / "log" / "parent.log"
    await until(lambda: log.exists() and "model" in log.read_text())
    pid, grandchild = int((tmp_path / "run" / "parent.pid").read_text()), int(log.read_text().split("model ")[1])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: log.read_text().count("model") == 2)
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    await children.stop()


async def test_the_pause_doubles_while_a_child_keeps_dying(children: Supervisor, said: list[str]) -> None:
    children.start(Program("broken", python("raise SystemExit('no such thing as a free lunch')")))
    await until(lambda: sum("ended by itself" in line for line in said) == 4)
    await children.stop()
    pauses = [line.rsplit("again in ", 1)[1] for line in said if "ended by itself" in line]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s", "1.6 s"]
    assert "free lunch" in said[-1] or "free lunch" in said[-2]


async def test_a_deaf_child_is_killed_after_its_grace(children: Supervisor, said: list[str], tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(300)"
    children.start(Program("deaf", python(deaf), grace=0.3))
    await until(lambda: "deaf\n" in (tmp_path / "log" / "deaf.log").read_text() if children.is_running("deaf") else 0)
    await children.stop()
    assert not children.is_running("deaf")
    assert any("did not end within" in line for line in said)


async def test_children_stop_by_rank(children: Supervisor, said: list[str]) -> None:
    for name, rank in (("last", 2), ("first", 0), ("middle", 1)):
        children.start(Program(name, SLEEP, stop_rank=rank))
    await until(lambda: len(said) == 3)
    await children.stop()
    assert said[3:] == ["first stopped", "middle stopped", "last stopped"]


async def test_a_log_that_has_grown_large_is_put_aside(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 1000)
    monkeypatch.setattr(supervisor, "LOG_CHECK_SECONDS", 0.05)
    children = Supervisor(var=tmp_path, environment=dict(os.environ), say=said.append)
    await children.prepare()
    children.start(Program("talker", python("import time\nwhile True: print('x' * 99); time.sleep(0.01)")))
    aside = tmp_path / "log" / "talker.log.1"
    await until(aside.exists)
    await until(lambda: 0 < (tmp_path / "log" / "talker.log").stat().st_size < aside.stat().st_size)
    await children.stop()


async def test_a_step_that_fails_shows_its_end(children: Supervisor) -> None:
    with pytest.raises(StepFailed, match="out of cheese"):
        await children.step("migrate", python("raise SystemExit('out of cheese')"))


async def test_what_a_killed_predecessor_left_is_ended(tmp_path: Path, said: list[str]) -> None:
    left = subprocess.Popen(["sleep", "300"], process_group=0)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "web.pid").write_text(f"{left.pid}\n")
    await Supervisor(var=tmp_path, environment={}, say=said.append).prepare()
    assert left.wait(timeout=30) == -signal.SIGKILL


async def test_a_pid_that_now_belongs_to_another_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "web.pid"
    stranger = subprocess.Popen(["sleep", "300"], process_group=0)
    path.write_text(f"{stranger.pid}\n")
    os.utime(path, (time.time() - 1000, time.time() - 1000))
    await Supervisor(var=tmp_path, environment={}, say=said.append).prepare()
    assert stranger.poll() is None
    assert not path.exists()
    stranger.kill()
    stranger.wait()


def test_the_watcher_ends_the_groups_once_its_pipe_closes(tmp_path: Path) -> None:
    left = subprocess.Popen(["sleep", "300"], process_group=0)
    (tmp_path / "web.pid").write_text(f"{left.pid}\n")
    watcher = subprocess.Popen([sys.executable, "-c", supervisor.WATCH, str(tmp_path)], stdin=subprocess.PIPE)
    assert watcher.stdin is not None
    time.sleep(0.2)
    assert left.poll() is None
    watcher.stdin.close()
    assert left.wait(timeout=30) == -signal.SIGKILL
    assert watcher.wait(timeout=30) == 0


def test_one_folder_has_one_supervisor(tmp_path: Path) -> None:
    with supervisor.exclusive(tmp_path):
        second = supervisor.exclusive(tmp_path)
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            second.__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a watcher does what the kernel does here")
def test_kill_9_of_the_supervisor_takes_the_children(tmp_path: Path) -> None:
    code = f"""
        import asyncio, os, pathlib
        from marketplace.supervisor import Program, Supervisor
        async def main():
            children = Supervisor(var=pathlib.Path({str(tmp_path)!r}), environment=dict(os.environ), say=print)
            children.start(Program("sleeper", {SLEEP!r}))
            await children.stopping.wait()
        asyncio.run(main())
    """
    parent = subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline().rsplit("pid ", 1)[1].rstrip(")\n"))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)
