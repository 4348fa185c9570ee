"""What a hostile model tries, from inside a real instance: each attempt and what it gets."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from execution.runtimes import sandbox
from execution.runtimes.process import ProcessRuntime
from execution.runtimes.seccomp import deny_list
from tests.execution.workshop import Ran, family, leftovers, needs_walls

SPY = """
    import ctypes, json, os, socket
    from cog import BaseRunner, Input

    def attempt(what, *given):
        try:
            return what(*given)
        except Exception as error:
            return f"{type(error).__name__}: {getattr(error, 'strerror', error)}"

    def read(path):
        with open(path, "rb") as file:
            return file.read(200).decode("utf-8", "replace")

    def write(path):
        with open(path, "w") as file:
            file.write("x")
        return "written"

    def call(number, *given):
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.syscall(number, *given)
        return os.strerror(ctypes.get_errno()) if done < 0 else "allowed"

    class Runner(BaseRunner):
        def run(self, paths: str = "[]") -> str:
            pids = [int(one) for one in os.listdir("/proc") if one.isdigit()]
            with open("/proc/self/status") as file:
                status = dict(line.strip().split(":", 1) for line in file if ":" in line)
            return json.dumps({
                "reads": {path: attempt(read, path) for path in json.loads(paths)},
                "lists": {path: attempt(os.listdir, path) for path in ("/root", "/home", "/srv", "/src", "/var")},
                "writes": {
                    path: attempt(write, path) for path in ("/x", "/src/x", "/usr/x", "/etc/x", "/dev/x", "/tmp/x")
                },
                "environment": dict(os.environ),
                "environments": [attempt(read, f"/proc/{pid}/environ") for pid in pids],
                "command_lines": [attempt(read, f"/proc/{pid}/cmdline") for pid in pids],
                "pids": len(pids),
                "uid": os.getuid(),
                "capabilities": status["CapEff"].strip(),
                "no_new_privileges": status["NoNewPrivs"].strip(),
                "seccomp": status["Seccomp"].strip(),
                "internet": attempt(socket.create_connection, ("1.1.1.1", 80), 2),
                "metadata": attempt(socket.create_connection, ("169.254.169.254", 80), 2),
                "unshare": call(272, 0x10000000),
                "ptrace": call(101, 16, 1, 0, 0),
                "mount": call(165, b"none", b"/tmp", b"tmpfs", 0, 0),
                "bpf": call(321, 0, 0, 0),
                "io_uring": call(425, 1, 0),
                "new_user": call(56, 0x10000000 | 17, 0, 0, 0, 0),
            }, default=str)
"""


@pytest.fixture
def loot(workshop, monkeypatch):
    """What the spy brought home. The worker's environment holds a canary, var/ a secret."""
    monkeypatch.setenv("TURNPIKE_CANARY", "s3cret-canary")
    secret = workshop.var / "secret_key"
    secret.write_text("s3cret-canary")
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # s3cret-canary"])
    try:
        instance = workshop.start(SPY)
        others = [f"/proc/{pid}/environ" for pid in (bystander.pid, os.getpid())]
        paths = [str(secret), "/etc/shadow", *others, "/etc/passwd"]
        ran = Ran(instance, input={"paths": json.dumps(paths)})
        assert ran.end.status == "succeeded", ran.end
        return json.loads(ran.outputs[0])
    finally:
        bystander.kill()
        bystander.wait()


@needs_walls
def test_a_spy_sees_nothing_of_the_host(loot, workshop):
    everything = json.dumps(loot)
    assert "s3cret-canary" not in everything
    reads = list(loot["reads"].values())
    assert all("FileNotFoundError" in one or "PermissionError" in one for one in reads[:2])
    assert all("FileNotFoundError" in one for one in reads[2:4])
    assert reads[4].startswith("model:x:")
    assert loot["lists"]["/src"]
    for folder in ("/home", "/srv", "/var"):
        assert isinstance(loot["lists"][folder], str), f"{folder} is visible"
    assert loot["pids"] < 10


@needs_walls
def test_a_spy_writes_only_to_its_own_tmp(loot):
    assert loot["writes"].pop("/tmp/x") == "written"
    assert all("Read-only" in one or "Permission" in one for one in loot["writes"].values()), loot["writes"]


@needs_walls
def test_a_spy_has_no_rights_and_no_network(loot):
    assert int(loot["capabilities"], 16) == 0
    assert loot["no_new_privileges"] == "1"
    assert loot["uid"] != 0
    assert "unreachable" in loot["internet"]
    assert "unreachable" in loot["metadata"]


@needs_walls
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the spy's call numbers are those of x86_64")
def test_dangerous_calls_are_refused_by_name(loot):
    assert loot["seccomp"] == "2"
    for name in ("unshare", "ptrace", "mount", "bpf", "io_uring", "new_user"):
        assert loot[name] == "Operation not permitted", name


@needs_walls
def test_the_environment_is_an_allow_list(loot):
    own = {"PATH", "HOME", "LANG", "PORT", "SSL_CERT_FILE", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PWD"}
    extra = {name for name in loot["environment"] if name not in own and not name.startswith("COG_")}
    assert extra <= {"LC_CTYPE"}, extra


@needs_walls
def test_instances_die_with_their_worker(workshop):
    built = workshop.build(SPY)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from execution.runtimes.process import ProcessRuntime; from execution.runtimes.base import InstanceSpec\n"
        "import threading\n"
        f"start = lambda: ProcessRuntime(var=Path({str(workshop.var)!r})).start("
        f"InstanceSpec(version_id='v', build=Path({str(built.folder)!r})))\n"
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(start())); thread.start(); thread.join()\n"
        "time.sleep(0.5)\n"  # the thread that asked is gone; the instance must not be
        "print(found[0].pid, found[0].health(), flush=True); time.sleep(60)\n"
    )
    before = family()
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        pid, health = worker.stdout.readline().split()
        assert health == "ready"
        root = psutil.Process(int(pid))
        below = [root, *root.children(recursive=True)]
        assert len(below) >= 3
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    deadline = time.monotonic() + 30
    while any(one.is_running() and one.status() != "zombie" for one in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [one for one in below if one.is_running() and one.status() != "zombie"]
    assert leftovers(before) == set()
    for record in (workshop.var / "instances").iterdir():  # what the agent of the next worker does
        ProcessRuntime(var=workshop.var).reap(pid=int(pid), started_at=0.0, instance_id=record.name)


def test_without_bubblewrap_the_walls_say_so(monkeypatch):
    monkeypatch.setenv("TURNPIKE_SANDBOX", "none")
    sandbox.survey.cache_clear()
    try:
        walls = sandbox.survey()
    finally:
        monkeypatch.undo()
        sandbox.survey.cache_clear()
    assert (walls.isolation, walls.bwrap) == ("none", "")
    assert "switched off" in walls.note


def test_unknown_machines_get_no_filter_and_known_ones_do():
    assert deny_list("riscv64") == b""
    assert len(deny_list("x86_64")) % 8 == 0
    assert deny_list("aarch64") != deny_list("x86_64")
