"""The whole real system in one object: `manage.py serve` on a private folder and a free port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from marketplace.demo import SIMULATED
from marketplace.supervisor import LEASH
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.shell import Shell

ROOT = Path(__file__).resolve().parent.parent.parent
# What a test run sets for itself and a system under test must not see.
_NOT_INHERITED = {"DATABASE_URL", "REDIS_URL", "TURNPIKE_VAR", "TURNPIKE_TEST_VAR", "DJANGO_SETTINGS_MODULE", "PORT"}
_SPARE_PORTS = 8
# Settings of an operator's for what a test waits to be over, shorter than the defaults; still so long that a process
# which a busy machine lets wait is not taken for dead (they beat every two seconds).
LEASE_SECONDS = 8
# Archives come in parts far smaller than a product's.
PART_BYTES = 100_000
_HURRIED = {
    "RUN_LEASE_SECONDS": str(LEASE_SECONDS),
    "UPLOAD_PART_BYTES": str(PART_BYTES),
    "GENERATION_SILENT_MS": "8000",
    "UPSTREAM_FIRST_CHUNK_MS": "8000",
    "UPSTREAM_THINKING_MS": "8000",
}


class System:
    """`with System(folder) as system:` starts all and waits until it is ready; leaving ends every process.

    `spare_ports` are free ports whose origins the system may call: put a test's own providers and webhook
    receivers there. `environment` adds variables.
    """

    postgres: Postgres | None = None
    redis: Redis | None = None

    def __init__(
        self, folder: Path, *, database_url: str = "", redis_url: str = "", environment: dict[str, str] | None = None
    ) -> None:
        self.var = folder
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.spare_ports = [free_port() for _ in range(_SPARE_PORTS)]
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        self.environment = inherited | {
            "TURNPIKE_VAR": str(folder),
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "TURNPIKE_PRIVATE_ORIGINS": ",".join(f"127.0.0.1:{port}" for port in self.spare_ports),
            "DEMO_EXAMPLES": "no",  # building them would take the cores from what is tested
            **_HURRIED,
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._shell = Shell(self.environment, folder / "shell.txt")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.close()
        if self.is_running():
            self.stop()

    # -- life

    def start(self, *, within: float = 200) -> None:
        """Start the supervisor; returns when it has printed its welcome."""
        self.var.mkdir(parents=True, exist_ok=True)
        with self.terminal_path.open("wb") as terminal:
            self._process = subprocess.Popen(
                # The leash: a test run that is killed takes its systems along.
                [sys.executable, "-c", LEASH, str(os.getpid()), sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + within
        while "Turnpike is ready" not in self.terminal:
            if self._process.poll() is not None:
                raise RuntimeError(f"The system ended with {self._process.returncode}:\n{self.terminal}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"The system is not ready after {within} s:\n{self.terminal}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT, *, within: float = 40) -> int:
        """Ctrl-C (or another signal) for the supervisor; its exit code."""
        process = self._started
        process.send_signal(number)
        try:
            return process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"The supervisor did not end within {within} s:\n{self.terminal}") from None

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("The system has not been started.")
        return self._process

    @property
    def supervisor_pid(self) -> int:
        """The process that `make run` would show in the foreground."""
        return self._started.pid

    def wait(self) -> int:
        """The supervisor's exit code, once it has ended by itself or was killed."""
        return self._started.wait(timeout=30)

    def is_running(self) -> bool:
        """Whether the supervisor lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def terminal_path(self) -> Path:
        """Everything that the supervisor printed since its last start."""
        return self.var / "terminal.txt"

    @property
    def terminal(self) -> str:
        """The text of `terminal_path`."""
        return self.terminal_path.read_text(errors="replace")

    # -- children

    def children(self) -> dict[str, int]:
        """The pid of each child by its name: web, worker, beat, and one per simulated provider."""
        pids = {}
        for path in (self.var / "run").glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):  # it may end between the two looks
                pids[path.stem] = int(path.read_text())
        return pids

    def pid(self, name: str) -> int:
        """One child's pid; KeyError while it is not running."""
        return self.children()[name]

    def kill(self, name: str) -> int:
        """kill -9 of a child; the pid that it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def log(self, name: str) -> str:
        """A child's log so far."""
        return (self.var / "log" / f"{name}.log").read_text(errors="replace")

    # -- what a person does

    @property
    def demo(self) -> dict[str, Any]:
        """What the demo data left for newcomers: password, api_key, commands."""
        return dict(json.loads((self.var / "demo.json").read_text()))

    @property
    def api_key(self) -> str:
        """The demo account's key."""
        return str(self.demo["api_key"])

    def manage(self, *arguments: str, within: float = 60, given: str | None = None) -> str:
        """Run `manage.py <arguments>` on this system's data; what it printed. RuntimeError if it failed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=within,
        )
        if done.returncode != 0:
            raise RuntimeError(f"manage.py {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def query(self, code: str) -> Any:
        """Run Python on this system's data; it sets `result`, which comes back by JSON."""
        return self._shell.ask(code)

    @property
    def simulated_ports(self) -> dict[str, int]:
        """Where each simulated provider listens, by its slug."""
        base = int(json.loads((self.var / "ports.json").read_text())["base"])
        return {provider.slug: base + place for place, provider in enumerate(SIMULATED)}

    def listens(self, port: int) -> bool:
        """Whether something takes connections there."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def worker_answers(self) -> bool:
        """Whether a worker takes a task from the broker within two seconds."""
        nonce = uuid.uuid4().hex
        answer = self.var / "run" / f"answer-{nonce}"
        send = f"from marketplace.lib import jobs; jobs.send('marketplace.answer', nonce={nonce!r}); result = True"
        self.query(send)
        deadline = time.monotonic() + 2
        while not answer.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return answer.exists()

    def is_healthy(self) -> bool:
        """Whether web answers."""
        try:
            with urlopen(f"{self.base_url}/healthz", timeout=5) as answer:  # noqa: S310  our own address
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def busyness() -> float:
    """How many times as long as on an idle machine things may take here and now: what wants to run, for each core."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(condition: Callable[[], object], *, within: float, what: str) -> None:
    """Poll until the condition holds; AssertionError with `what` if it does not in time, by a busy machine's clock."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > within * busyness():
            raise AssertionError(f"Not within {within:g} s: {what}")
        time.sleep(0.05)
