"""Bells between the processes of one host: a word, by datagram, to whoever listens for its topic just now.

A bell only makes prompt what would be seen a moment later anyway: nothing is stored, nothing is repeated, and who
rings neither waits nor learns whether anybody heard. Between hosts there are none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction

from marketplace.lib.sockets import Place

LONGEST: Final = 200  # characters of a word
MANY: Final = 1000


class Bell:
    """Listens for one topic from now on. The sockets lie below var/run/bells, for this user alone."""

    def __init__(self, topic: str) -> None:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._place = Place(folder)
        self._name = f"{topic}.{os.getpid()}-{secrets.token_hex(4)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self.socket.bind(self._place.address(self._name))
        except OSError:
            self.close()
            raise

    def wait(self) -> str:
        """The next word; empty once the bell is closed."""
        try:
            return self.socket.recv(4 * LONGEST).decode("utf-8", "replace")
        except OSError:
            return ""

    def heard(self) -> set[str]:
        """What was rung since the last look, without waiting."""
        words = set()
        with contextlib.suppress(OSError):
            for _ in range(MANY):
                words.add(self.socket.recv(4 * LONGEST, socket.MSG_DONTWAIT).decode("utf-8", "replace"))
        return words

    def close(self) -> None:
        """Listen no longer; who waits comes back. May be called twice."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        (self._place.folder / self._name).unlink(missing_ok=True)
        self._place.close()


def ring_later(topic: str, word: str) -> None:
    """Ring once the current transaction has committed."""
    transaction.on_commit(lambda: ring(topic, word))


def ring(topic: str, word: str) -> int:
    """Tell all who listen for the topic on this host; how many have it now. Never raises for want of a listener."""
    folder = _folder()
    try:
        names = [name for name in os.listdir(folder) if name.rpartition(".")[0] == topic]
    except OSError:
        return 0  # nobody has ever listened here
    told = 0
    if not names:
        return told
    with (
        contextlib.suppress(OSError),
        contextlib.closing(Place(folder)) as place,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as near,
    ):
        near.setblocking(False)
        for name in names:
            try:
                near.sendto(word[:LONGEST].encode(), place.address(name))
                told += 1
            except ConnectionRefusedError:  # its process died
                (folder / name).unlink(missing_ok=True)
            except OSError:
                continue  # it is behind with listening: it looks by itself
    return told


def _folder() -> Path:
    return Path(settings.VAR) / "run" / "bells"
