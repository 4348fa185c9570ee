"""Celery's broker as a folder, for one host without a server: kombu's, so that nobody reads half a message.

Kombu opens a file under its final name and fills it then. A reader that comes between the two finds it empty, and its
worker ends by a JSONDecodeError. Here a message gets its name when it is whole, and tables are read under a lock.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Puts a message by writing it aside and renaming it, which is one step on a POSIX file system."""

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]  # kombu names it twice
        folder = Path(self.data_folder_out)
        # Sorted by name is sorted by age; what does not end in .msg belongs to no queue.
        name = f"{time_ns()}_{uuid.uuid4()}"
        aside = folder / f"{name}.part"
        try:
            aside.write_text(dumps(message))
            os.rename(aside, folder / f"{name}.{queue}.msg")
        except OSError as error:
            raise ChannelError(f"a message could not be written to {folder}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The oldest message of a queue, for whoever renames it first. Raises queue.Empty."""
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            identity, _, rest = name.partition(".")
            if rest != f"{queue}.msg":
                continue
            taken = folder / f"{identity}.taken"
            try:
                os.rename(folder / name, taken)
            except FileNotFoundError:  # another was faster
                continue
            text = taken.read_text()
            taken.unlink()
            return loads(text)
        raise Empty

    def get_table(self, exchange: str) -> Any:
        """Which queues an exchange feeds."""
        with self._locked(fcntl.LOCK_SH):
            return super().get_table(exchange)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        with self._locked(fcntl.LOCK_EX):
            super()._queue_bind(exchange, routing_key, pattern, queue)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        with self._locked(fcntl.LOCK_EX):
            super()._delete(queue, exchange, routing_key, pattern, *args, **kwargs)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with (Path(self.control_folder) / "lock").open("a") as file:
            fcntl.flock(file, how)
            yield


class Transport(filesystem.Transport):
    """Named in settings as `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
