"""One started version behind whatever walls: its predictions, its watch, its end."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import psutil

from execution.runtimes import records
from execution.runtimes.base import Event, FileSink, Finished, RunLimits
from execution.runtimes.cog import Client, Gone
from execution.runtimes.door import Door, Visit
from execution.runtimes.run import Run
from execution.runtimes.tail import Tail
from marketplace.lib.sockets import Place

WATCH_SECONDS: Final = 0.5
HEALTH: Final = {"READY": "ready", "BUSY": "busy", "STARTING": "starting", "UNKNOWN": "starting"}
# Cog warns of the names that it once taught, in every setup.
_OLD_NAMES: Final = ("<string>:1: DeprecationWarning", "predict() is deprecated")


class Body(Protocol):
    """What runs behind the walls: a process tree (sandbox.Confined) or a container (docker.Contained)."""

    kind: str
    uid: int | None
    started_at: float
    counts_memory: bool  # the walls themselves hold all its processes together to the limit

    @property
    def pid(self) -> int:
        """The outermost process, in the host's counting."""
        ...

    def is_running(self) -> bool:
        """Whether it has not ended."""
        ...

    def ending(self) -> str:
        """How it ended, for a person; empty while it runs."""
        ...

    def kill(self) -> None:
        """End it with everything that it started, and wait for that. May be called twice."""
        ...


class ProcessInstance:
    """A running model. Only the runtimes make these."""

    def __init__(
        self,
        *,
        version_id: str,
        home: Path,
        body: Body,
        limits: RunLimits,
        client: Client,
        door: Door,
        places: Sequence[Place],
        tail: Tail,
        is_iterator: bool,
        concurrency: int,
    ) -> None:
        self.id = home.name
        self.version_id = version_id
        self.pid = body.pid
        self.started_at = body.started_at
        self.concurrency = concurrency
        self.said_in_setup = ""
        self.setup_seconds = 0.0
        self.lost_reason = ""
        self.client = client
        self.limits = limits
        self._home = home
        self._body = body
        self._door = door
        self._places = places
        self._tail = tail
        self._is_iterator = is_iterator
        self._stop_lock = threading.Lock()
        self._stopped = threading.Event()
        records.write(home, kind=body.kind, version=version_id, pid=self.pid, started_at=self.started_at, uid=body.uid)
        if not body.counts_memory:
            threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    @property
    def address(self) -> str:
        """The unix socket of its server."""
        return self.client.address

    def is_running(self) -> bool:
        """Whether the outermost process is there."""
        return not self._stopped.is_set() and self._body.is_running()

    def health(self) -> str:
        """One of starting, ready, busy, lost."""
        if not self.is_running():
            return "lost"
        try:
            return HEALTH.get(self.client.health().status, "lost")
        except Gone:
            return "lost"

    def is_there(self) -> bool:
        """Whether its server still listens."""
        return self.is_running() and self.client.has_listener()

    @property
    def setup_logs(self) -> str:
        """What the creator's setup printed, and what it printed outside of any prediction."""
        return "\n".join(part for part in (self.said_in_setup, said_by_nobody(self._tail.text())) if part)

    def death(self) -> str:
        """Why there is no process any more, for a person."""
        if self.lost_reason:
            return self.lost_reason
        return self._body.ending() or "it does not answer"

    def logs(self) -> str:
        """What the setup printed, and the end of what the server said."""
        if not self.is_running():
            self._tail.finish()
        return "\n".join(part for part in (self.setup_logs, said_by_server(self._tail.text())) if part)

    def _watch(self) -> None:
        """Count the memory of the whole family: the kernel's limit is per process only."""
        while not self._stopped.wait(WATCH_SECONDS):
            total = 0
            try:
                root = psutil.Process(self.pid)
                for one in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        total += one.memory_info().rss
            except psutil.NoSuchProcess:
                return
            if total > self.limits.memory_bytes:
                self.lost_reason = f"it used more memory than the limit of {self.limits.memory_bytes} bytes"
                self._body.kill()
                return

    def predict(
        self,
        *,
        prediction_id: str,
        input: Mapping[str, Any],
        files: Mapping[str, Path],
        sink: FileSink,
        is_canceled: Callable[[], bool] = lambda: False,
        run_seconds: float | None = None,
    ) -> Iterator[Event]:
        """Run one prediction (see base.Instance)."""
        folder = self._home / "out" / f"{time.monotonic_ns()}"
        if not self.is_running():
            yield Finished(status="failed", error=f"The model's process is gone: {self.death()}.", instance_lost=True)
            return
        folder.mkdir()
        visit = Visit(folder=folder, limits=self.limits, inputs=list(files.values()))
        urls = dict(zip(files, self._door.admit(prediction_id=prediction_id, visit=visit), strict=True))
        run = Run(
            instance=self,
            prediction_id=prediction_id,
            input=_replaced(input, urls),
            visit=visit,
            sink=sink,
            is_iterator=self._is_iterator,
            is_canceled=is_canceled,
            run_seconds=self.limits.run_seconds if run_seconds is None else run_seconds,
        )
        try:
            yield from run.events()
        finally:
            self._door.dismiss(prediction_id)
            shutil.rmtree(folder, ignore_errors=True)

    def cancel(self, prediction_id: str) -> None:
        """Ask the model to end this prediction. The run kills the instance when that takes too long."""
        self.client.cancel(prediction_id)

    def stop(self) -> None:
        """End the instance with everything that it started, and remove its files."""
        with self._stop_lock:
            if self._stopped.is_set():
                return
            self._stopped.set()
            self._body.kill()
            self._door.close()
            self.client.close()
            for place in self._places:
                place.close()
            self._tail.finish()
            shutil.rmtree(self._home, ignore_errors=True)


def _replaced(value: Any, urls: Mapping[str, str]) -> Any:
    """The input with the stand-ins for files replaced by addresses behind the door."""
    if isinstance(value, str):
        return urls.get(value, value)
    if isinstance(value, Mapping):
        return {key: _replaced(one, urls) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(one, urls) for one in value]
    return value


def said_in_setup(text: str) -> str:
    """Cog's log of the setup without the server's own lines."""
    lines = []
    for line in text.splitlines():
        if line.startswith("[coglet::setup] "):
            lines.append(line.removeprefix("[coglet::setup] "))
        elif not line.startswith("[coglet"):
            lines.append(line)
    return "\n".join(lines)


def said_by_server(text: str) -> str:
    """The end of what came out of its process, without the lines of JSON of Cog's server that tell a person nothing.

    What the setup printed stays, as it was printed; what the server says of errors, too.
    """
    lines = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
            target, level, fields = str(record["target"]), record["level"], record["fields"]
            message = str(fields["message"])
        except (ValueError, LookupError, TypeError):
            lines.append(line)
            continue
        if target == "coglet::setup":
            lines += [] if message.startswith(_OLD_NAMES) else [message]
        elif level == "ERROR":
            lines.append(": ".join(str(one) for one in (message, fields.get("error")) if one))
    return "\n".join(lines)


def said_by_nobody(text: str) -> str:
    """Lines that Cog's server filed under no prediction: among them the setup's last one, when READY overtook it."""
    lines = []
    for line in text.splitlines():
        if '"coglet::user"' not in line:
            continue
        with contextlib.suppress(ValueError, LookupError, TypeError):
            record = json.loads(line)
            if record["target"] == "coglet::user":
                lines.append(str(record["fields"]["message"]))
    return "\n".join(lines)
