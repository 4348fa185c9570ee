"""Unix sockets in folders of any depth: an address holds only 107 bytes, a path may be longer."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

MAX_ADDRESS: Final = 100


class Place:
    """A folder for sockets. `address(name)` is a path that fits, as long as the place is open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def address(self, name: str) -> str:
        """The shortest working path of the socket `name`."""
        plain = str(self.folder / name)
        return plain if len(plain.encode()) <= MAX_ADDRESS else f"/proc/self/fd/{self._fd}/{name}"

    def listen(self, name: str, *, mode: int = 0o600, backlog: int = 128) -> socket.socket:
        """A listening socket called `name`; a leftover of that name is replaced."""
        (self.folder / name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self.address(name))
            (self.folder / name).chmod(mode)
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
        return listener

    def close(self) -> None:
        """Give the folder back. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
