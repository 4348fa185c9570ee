"""The end of what a process printed, however much that was."""

from __future__ import annotations

import threading
from collections import deque
from typing import IO, Final

KEPT_BYTES: Final = 64 * 1024


class Tail:
    """Reads a pipe to its end in a thread of its own, so that the writer never waits, and keeps the last 64 KiB."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, name="model-log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._pipe is None:
            return
        with self._pipe as pipe:
            while piece := pipe.read1(KEPT_BYTES):  # type: ignore[attr-defined]
                with self._lock:
                    self._pieces.append(piece)
                    self._size += len(piece)
                    while self._size - len(self._pieces[0]) >= KEPT_BYTES:
                        self._size -= len(self._pieces.popleft())

    def text(self) -> str:
        """What is kept, as text."""
        with self._lock:
            return b"".join(self._pieces)[-KEPT_BYTES:].decode("utf-8", "replace")

    def finish(self, *, seconds: float = 2.0) -> None:
        """Wait for the pipe's end, once its process is gone."""
        self._thread.join(seconds)
