"""One step of a build: a command behind the walls, its lines streamed, its time and disk bounded, cancelable."""

from __future__ import annotations

import os
import re
import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from execution.builders.base import BuildCanceled, BuildFailed
from execution.runtimes import sandbox

CREDENTIALS: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s'\"]+@")
MAX_LINE: Final = 4000
MAX_LINES: Final = 5000
MAX_OUTPUT: Final = 4 * 1024 * 1024
LOOK_SECONDS: Final = 0.1
MEASURE_SECONDS: Final = 2.0


def masked(line: str) -> str:
    """The line without the user names and passwords of its addresses."""
    return CREDENTIALS.sub(r"\g<scheme>***@", line)


def size_of(folder: Path) -> int:
    """Bytes that the files below take on disk; links count as links, hard links once."""
    total, seen = 0, set()
    for root, folders, files in os.walk(folder, onerror=lambda _: None):
        for name in (*files, *folders):
            try:
                found = os.lstat(os.path.join(root, name))
            except OSError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total


@dataclass(frozen=True, slots=True)
class Watch:
    """Folders whose sizes together must not pass `limit` bytes; `what` they are, for the message."""

    folders: Sequence[Path]
    limit: int
    what: str


class Lines:
    """Cuts bytes into lines, bounded in length and number."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self._rest, self._count = log, b"", 0

    def feed(self, data: bytes) -> None:
        """Some more bytes; whole lines go to the log."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._put(line)
        if len(self._rest) > MAX_LINE:
            self._put(self._rest)
            self._rest = b""

    def finish(self) -> None:
        """The last line, when it has no end."""
        if self._rest:
            self._put(self._rest)
            self._rest = b""

    def _put(self, line: bytes) -> None:
        self._count += 1
        if self._count == MAX_LINES:
            self._log(f"[The log is cut here: it has more than {MAX_LINES} lines.]")
        if self._count < MAX_LINES:
            self._log(masked(line[:MAX_LINE].decode("utf-8", "replace").rstrip("\r")))


def run(
    order: sandbox.Order,
    *,
    name: str,
    seconds: float,
    log: Callable[[str], None],
    is_canceled: Callable[[], bool],
    watch: Watch | None = None,
) -> tuple[int, bytes]:
    """The exit status and standard output (the error stream goes to the log).

    Raises BuildCanceled, and BuildFailed when the time or disk limit is met; then nothing of the step runs any more.
    """
    try:
        confined = sandbox.launch(order, stdout=sandbox.PIPE, stderr=sandbox.PIPE)
    except OSError as error:
        note = sandbox.survey().note
        raise BuildFailed(f"{name.capitalize()} could not be started on this host: {error}. {note}".strip()) from error
    process, lines, output = confined.process, Lines(log), bytearray()
    deadline = time.monotonic() + seconds
    measure_at = time.monotonic() + MEASURE_SECONDS
    assert process.stdout is not None  # noqa: S101 (asked for a pipe above)
    assert process.stderr is not None  # noqa: S101
    try:
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdout, process.stderr):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe.fileno(), selectors.EVENT_READ)
            while selector.get_map() and not (process.poll() is not None and not selector.select(0)):
                for key, _ in selector.select(LOOK_SECONDS):
                    data = _read(key.fd)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.fd == process.stderr.fileno():
                        lines.feed(data)
                    elif len(output) < MAX_OUTPUT:
                        output += data
                now = time.monotonic()
                if is_canceled():
                    raise BuildCanceled(f"Canceled while {name}.")
                if now > deadline:
                    raise BuildFailed(f"{name.capitalize()} took longer than the limit of {seconds:g} s.")
                if watch and now > measure_at:
                    measure_at = now + MEASURE_SECONDS
                    check_size(watch)
        return process.wait(timeout=10), bytes(output)
    finally:
        confined.kill()
        lines.finish()
        process.stdout.close()
        process.stderr.close()


def check_size(watch: Watch) -> int:
    """Bytes of the watched folders. Raises BuildFailed over the limit."""
    size = sum(size_of(folder) for folder in watch.folders)
    if size > watch.limit:
        raise BuildFailed(f"{watch.what} take more than the limit of {watch.limit} bytes on disk.")
    return size


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 64 * 1024)
    except BlockingIOError:
        return b""
