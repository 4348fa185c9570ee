"""Requests into a container that has no network: it calls us, we answer with the next request.

The container keeps a few connections to `back` open (inside.offer). A connection of ours to `model` is joined to one
of them, so that the client of Cog's API sees an ordinary unix socket.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from queue import Empty, Queue
from typing import Final

CHUNK: Final = 256 * 1024
OFFER_SECONDS: Final = 20.0
MAX_OFFERS: Final = 32


class Exchange:
    """Joins the connections of two listeners; both are closed with it."""

    def __init__(self, *, model: socket.socket, back: socket.socket) -> None:
        self._listeners = (model, back)
        self._offers: Queue[socket.socket] = Queue(maxsize=MAX_OFFERS)
        self._joined: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        for listener, take in ((model, self._request), (back, self._offer)):
            threading.Thread(target=self._accept, args=(listener, take), name="exchange", daemon=True).start()

    def _accept(self, listener: socket.socket, take: object) -> None:
        assert callable(take)  # noqa: S101
        while not self._closed.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            take(connection)

    def _offer(self, connection: socket.socket) -> None:
        """One more connection of the container; a container that makes too many loses them."""
        try:
            self._offers.put_nowait(connection)
        except Exception:
            connection.close()

    def _request(self, near: socket.socket) -> None:
        threading.Thread(target=self._join, args=(near,), name="exchange-join", daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = self._offers.get(timeout=OFFER_SECONDS)
        except Empty:
            near.close()
            return
        with self._lock:
            if self._closed.is_set():
                near.close()
                far.close()
                return
            self._joined |= {near, far}
        back = threading.Thread(target=_carry, args=(far, near), name="exchange-back", daemon=True)
        back.start()
        _carry(near, far)
        back.join()
        with self._lock:
            self._joined -= {near, far}
        near.close()
        far.close()

    def close(self) -> None:
        """Stop joining; connections under way are cut. May be called twice."""
        self._closed.set()
        with self._lock:
            ends = [*self._listeners, *self._joined]
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for listener in self._listeners:
            listener.close()
        with contextlib.suppress(Empty):
            while True:
                self._offers.get_nowait().close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Bytes one way until the source ends. Nothing is stored: who reads slowly is waited for."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
