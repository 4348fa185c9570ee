"""A provider that keeps to no rule: raw bytes over a real socket, as a script says."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

STATUS = b"HTTP/1.1 200 OK\r\n"
EVENTS = STATUS + b"content-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNKED = STATUS + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5}

Script = Callable[[socket.socket], None]


@dataclass
class Provider:
    """Listens; each request is answered by the script of the model that it names."""

    scripts: dict[str, Script] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            model = json.loads(_body(connection))["model"]
            self.calls.append(model)
            self.scripts[model](connection)
            # Half-closed first: what was sent is not lost to a reset.
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(2)
            while connection.recv(65_536):
                pass


@contextlib.contextmanager
def listening(provider: Provider) -> Iterator[Provider]:
    """Runs the provider on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        provider.port = server.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=provider.answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield provider
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def _body(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return body


# -- what scripts are made of


def says(*pieces: bytes, pause: float = 0.02) -> Script:
    """Sends the pieces with pauses, so that each arrives by itself."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place, piece in enumerate(pieces):
            if place:
                time.sleep(pause)
            connection.sendall(piece)

    return script


def then(script: Script, after: Script) -> Script:
    """One after the other."""

    def both(connection: socket.socket) -> None:
        script(connection)
        after(connection)

    return both


def resets(connection: socket.socket) -> None:
    """Breaks the connection off without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def hangs(connection: socket.socket) -> None:
    """Says nothing more until the other side has gone."""
    connection.settimeout(10)
    with contextlib.suppress(OSError):
        connection.recv(1)


def drips(piece: bytes, *, every: float = 0.1, times: int = 60) -> Script:
    """The same piece again and again."""

    def script(connection: socket.socket) -> None:
        for _ in range(times):
            connection.sendall(piece)
            time.sleep(every)

    return script


def event(data: Any, end: bytes = b"\n\n") -> bytes:
    """One event; what is not bytes is written as JSON."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + end


def delta(text: str, **more: Any) -> dict[str, Any]:
    """A chunk with words in it."""
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": None}]}


def finish(reason: Any = "stop", **more: Any) -> dict[str, Any]:
    """The chunk that ends an answer."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **more}


WORDS = event(delta("Hallo, ")) + event(delta("Wörld €"))
END = event(finish(usage=USAGE)) + event(b"[DONE]")
SOUND = "Hallo, Wörld €"


def chunked(body: bytes) -> bytes:
    """One chunk of the transfer coding."""
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"
