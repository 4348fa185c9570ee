"""One process of this host at a time, by the kernel's lock on a file: a dead one holds nothing."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from execution.builders.base import BuildCanceled


@contextlib.contextmanager
def alone(path: Path, *, busy: str, log: Callable[[str], None], is_canceled: Callable[[], bool]) -> Iterator[None]:
    """Wait for the lock, saying once that it is `busy`, and hold it. Raises BuildCanceled. The file stays."""
    with path.open("w") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    log(busy)
                waiting = True
                if is_canceled():
                    raise BuildCanceled("Canceled while waiting for another build.") from None
                time.sleep(0.1)
        yield
