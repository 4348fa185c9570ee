"""The model's only way out: a small HTTP server of ours on a unix socket, one per instance.

GET /in/<prediction>/<n>/<name> hands an input file to the model, PUT /out/<name> takes one of its output files.
Both only for predictions that are under way, and with the limits counted here, outside the sandbox.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Final
from urllib.parse import quote, unquote

from execution.runtimes.base import ProducedFile, RunLimits

CHUNK: Final = 256 * 1024
IDLE_SECONDS: Final = 60.0
CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,100}")


def safe_name(name: str) -> str:
    """A file name of a model made harmless: no folder, no control characters, at most 120 characters."""
    plain = re.sub(r"[^\w.() -]", "_", name.rsplit("/", 1)[-1]).strip(" .")
    return plain[-120:] or "file"


@dataclass(slots=True)
class Visit:
    """What one prediction brings through the door. `violation`: the limit that it broke, in a sentence."""

    folder: Path
    limits: RunLimits
    inputs: list[Path]
    produced: dict[str, ProducedFile] = field(default_factory=dict)
    taken_bytes: int = 0
    counter: int = 0
    violation: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, size: int) -> int:
        """A number for the next output file, or -1 when a limit forbids it."""
        with self.lock:
            if size > self.limits.file_bytes:
                self.violation = f"an output file of {size} bytes is over the limit of {self.limits.file_bytes} bytes"
            elif self.taken_bytes + size > self.limits.files_bytes:
                self.violation = f"the output files together are over the limit of {self.limits.files_bytes} bytes"
            elif self.counter >= self.limits.files:
                self.violation = f"more than {self.limits.files} output files, the limit"
            else:
                self.taken_bytes += size
                self.counter += 1
                return self.counter
            return -1


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, door: Door) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.door = door

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A model that hangs up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_SECONDS
    protocol_version = "HTTP/1.1"
    server_version = "door"
    sys_version = ""

    def address_string(self) -> str:
        return "model"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what a model asks for is its own affair."""

    def _answer(self, status: int, headers: Mapping[str, str], *, size: int = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        if status >= 400:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def do_GET(self) -> None:
        found = self.server.door.input_file(unquote(self.path))
        if found is None:
            return self._answer(404, {})
        with found.open("rb") as file:
            self._answer(200, {"Content-Type": "application/octet-stream"}, size=found.stat().st_size)
            shutil.copyfileobj(file, self.wfile, CHUNK)

    def do_PUT(self) -> None:
        visit = self.server.door.visit(self.headers.get("x-prediction-id", ""))
        given = self.headers.get("Content-Length", "")
        if visit is None or not self.path.startswith("/out/") or not given.isdecimal():
            return self._answer(404 if visit is None else 411, {})
        size = int(given)
        number = visit.reserve(size)
        if number < 0:
            return self._answer(413, {})
        name = safe_name(unquote(self.path.removeprefix("/out/")))
        path = visit.folder / f"{number}"
        left = size
        with path.open("wb") as file:
            while left > 0 and (chunk := self.rfile.read(min(CHUNK, left))):
                file.write(chunk)
                left -= len(chunk)
        if left:
            path.unlink()
            return self._answer(400, {})
        given_type = self.headers.get("Content-Type", "")
        content_type = given_type if CONTENT_TYPE.fullmatch(given_type) else "application/octet-stream"
        url = f"{self.server.door.url}/out/{number}/{quote(name)}"
        visit.produced[url] = ProducedFile(path=path, name=name, content_type=content_type, size=size)
        return self._answer(201, {"Location": url})


class Door:
    """The server and who may use it. `url` is its address as the model sees it."""

    def __init__(self, *, listener: socket.socket, url: str) -> None:
        self.url = url
        self._visits: dict[str, Visit] = {}
        self._server = _Server(listener, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 1.0}, name="door", daemon=True
        )
        self._thread.start()

    def admit(self, *, prediction_id: str, visit: Visit) -> list[str]:
        """Let this prediction through. The URLs of its input files, in order."""
        self._visits[prediction_id] = visit
        return [
            f"{self.url}/in/{quote(prediction_id, safe='')}/{number}/{quote(safe_name(path.name))}"
            for number, path in enumerate(visit.inputs)
        ]

    def dismiss(self, prediction_id: str) -> None:
        """Nothing more goes through for this prediction."""
        self._visits.pop(prediction_id, None)

    def visit(self, prediction_id: str) -> Visit | None:
        """The visit under way, if there is one."""
        return self._visits.get(prediction_id)

    def input_file(self, path: str) -> Path | None:
        """The file behind a path of `admit`."""
        found = re.fullmatch(r"/in/([^/]+)/(\d{1,6})/[^/]+", path)
        visit = self._visits.get(found[1]) if found else None
        if not found or visit is None or int(found[2]) >= len(visit.inputs):
            return None
        return visit.inputs[int(found[2])]

    def close(self) -> None:
        """Stop answering. The thread ends by itself within seconds; it holds nothing."""
        threading.Thread(target=self._server.shutdown, name="door-close", daemon=True).start()
        self._server.socket.close()
