"""Keeps a set of programs running on one var/ folder: starts, restarts with back-off, ends them in order.

Knows nothing of Django or of what the programs do; `manage.py serve` says which they are. Each child leads
a process group of its own, logs to var/log/<name>.log and leaves its pid in var/run/<name>.pid. On Linux the
kernel kills the children when this process dies by any means; elsewhere a small watcher does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0
HEALTHY_AFTER = 30.0
LOG_BYTES = 20_000_000
LOG_CHECK_SECONDS = 60.0

# Runs in the child before the program: asks the kernel for its own end with the parent's. Not preexec_fn,
# which may deadlock in a process that has threads.
LEASH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# Where the kernel has no such service: waits for the parent's end of a pipe to close, then ends the groups.
WATCH = """
import os, pathlib, signal, sys
sys.stdin.read()
for path in pathlib.Path(sys.argv[1]).glob("*.pid"):
    try:
        os.killpg(int(path.read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass
"""


class AlreadyRunning(Exception):
    """Another supervisor holds this var/ folder."""


class StepFailed(Exception):
    """A one-time command ended with an error; the message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Program:
    """One child: `stop_rank` orders the end (lowest first), `grace` is how many seconds SIGTERM gets."""

    name: str
    command: Sequence[str]
    stop_rank: int = 0
    grace: float = 5.0


@contextlib.contextmanager
def exclusive(var: Path) -> Iterator[None]:
    """Hold var/ for this process; raises AlreadyRunning."""
    (var / "run").mkdir(parents=True, exist_ok=True)
    with (var / "run" / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyRunning(lock.read().strip() or "unknown") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class Supervisor:
    """Children by name. All methods run on one event loop, in the main thread (the leash hangs on it)."""

    def __init__(self, *, var: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.run_dir = var / "run"
        self.log_dir = var / "log"
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.stopping = asyncio.Event()
        self._environment = dict(environment)
        self._say = say
        self._programs: dict[str, Program] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._spawning = asyncio.Lock()
        self._watcher: asyncio.subprocess.Process | None = None
        self._tending: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """End what a killed predecessor may have left, and see to it that we leave nothing."""
        for path in self.run_dir.glob("*.pid"):
            _end_leftover(path)
        self._tending = asyncio.create_task(self._tend_logs())
        if sys.platform != "linux":
            self._watcher = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", WATCH, str(self.run_dir)), stdin=asyncio.subprocess.PIPE, process_group=0
            )

    def log_path(self, name: str) -> Path:
        """Where the child's output goes."""
        return self.log_dir / f"{name}.log"

    def is_running(self, name: str) -> bool:
        """True while the child's process lives."""
        return name in self._running

    async def step(self, name: str, command: Sequence[str]) -> None:
        """Run a command to its end, logged as a child's; raises StepFailed, or CancelledError when stopping."""
        async with self._spawning:
            process = await self._spawn(Program(name, command))
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                raise asyncio.CancelledError
        finally:
            stopped.cancel()
            _signal_group(process.pid, signal.SIGKILL)
            code = await ended
            self._bury(name)
        if code != 0:
            raise StepFailed(f"{name} failed ({_describe(code)}):\n{tail(self.log_path(name))}")

    def start(self, program: Program) -> None:
        """Keep the program running until `stop`."""
        self._programs[program.name] = program
        self._keepers.append(asyncio.create_task(self._keep(program)))

    async def stop(self) -> None:
        """End every child, by rank: SIGTERM, its grace, then SIGKILL for it and all that it started."""
        self.stopping.set()
        async with self._spawning:  # none is half-way into being
            ranks = sorted({program.stop_rank for program in self._programs.values()})
        for rank in ranks:
            names = [name for name, program in self._programs.items() if program.stop_rank == rank]
            await asyncio.gather(*(self._end(self._programs[name]) for name in names if name in self._running))
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._tending:
            self._tending.cancel()
        if self._watcher and self._watcher.stdin:
            self._watcher.stdin.close()
            await self._watcher.wait()

    def kill(self) -> None:
        """End everything at once (a second Ctrl-C)."""
        for process in self._running.values():
            _signal_group(process.pid, signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        delay = FIRST_DELAY
        while True:
            async with self._spawning:
                if self.stopping.is_set():
                    return
                process = await self._spawn(program)
            started = time.monotonic()
            self._say(f"{program.name} started (pid {process.pid})")
            code = await process.wait()
            lived = time.monotonic() - started
            # A worker's model processes, a server's helpers: none outlives the child that began it.
            _signal_group(process.pid, signal.SIGKILL)
            self._bury(program.name)
            if self.stopping.is_set():
                self._say(f"{program.name} stopped")
                return
            delay = FIRST_DELAY if lived >= HEALTHY_AFTER else delay
            self._say(f"{program.name} ended by itself ({_describe(code)}) after {lived:.1f} s; again in {delay:.1f} s")
            if lived < HEALTHY_AFTER and delay > 1:
                self._say(f"{self.log_path(program.name)} ends with:\n{tail(self.log_path(program.name))}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with self.log_path(program.name).open("ab") as log:
            log.write(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} {program.name} starts\n".encode())
            log.flush()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                process_group=0,
            )
        self._running[program.name] = process
        (self.run_dir / f"{program.name}.pid").write_text(f"{process.pid}\n")
        return process

    async def _tend_logs(self) -> None:
        """Keep one earlier log beside a log that has grown large; the writers append, so they go on at its new end."""
        while True:
            for path in self.log_dir.glob("*.log"):
                if path.stat().st_size > LOG_BYTES:
                    await asyncio.to_thread(shutil.copyfile, path, path.with_suffix(".log.1"))
                    os.truncate(path, 0)
            await asyncio.sleep(LOG_CHECK_SECONDS)

    def _bury(self, name: str) -> None:
        self._running.pop(name, None)
        (self.run_dir / f"{name}.pid").unlink(missing_ok=True)

    async def _end(self, program: Program) -> None:
        process = self._running.get(program.name)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + program.grace
        while program.name in self._running and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if program.name in self._running:
            self._say(f"{program.name} did not end within {program.grace:.0f} s: killed")
            _signal_group(process.pid, signal.SIGKILL)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    with contextlib.suppress(OSError):
        text = path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text)
    return "    (no log)"


def _end_leftover(path: Path) -> None:
    """Kill the group that a pid file names, unless the pid has since gone to another process."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid = int(path.read_text())
        # A process that began after the file was written is somebody else's.
        if psutil.Process(pid).create_time() <= path.stat().st_mtime + 1:
            _signal_group(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
