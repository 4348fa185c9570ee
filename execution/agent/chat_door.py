"""Where the gateway reaches this host's servers of chats: HTTP on one port, each request straight to a warm instance.

POST /v1/chat/completions with the version's id as `model` and the site's own token. The answer's bytes pass as they
come. A slot is held while they do; without one the answer is a 429, so that the router counts and looks elsewhere.
GET /v1/capacity says how many chats of each version the host serves at once, and what a start takes. A request may
name its run (Turnpike-Run) and for how long it may go on (Turnpike-Most-Ms): GET /v1/runs/<name> says how many
milliseconds it has taken on the instance, from when it was sent there to the last piece of its answer.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from execution.agent.agent import Agent
from execution.runtimes.base import InstanceSpec, RuntimeFailure

log = logging.getLogger(__name__)
PATH: Final = "/v1/chat/completions"
CAPACITY: Final = "/v1/capacity"
RUNS: Final = "/v1/runs/"
RUN, MOST_MS = "Turnpike-Run", "Turnpike-Most-Ms"
REMEMBERED: Final = 10_000  # runs, of which most are asked after at once
MAX_BODY: Final = 32 * 1024 * 1024
CHUNK: Final = 64 * 1024
SILENT_SECONDS: Final = 300.0
BUSY_SECONDS: Final = 1  # what Retry-After says when no slot is free


class ChatDoor:
    """Serves on `host`. `find` gives a version's spec, None for one that is not there. Raises OSError."""

    def __init__(
        self,
        *,
        agent: Agent,
        port: int,
        token: str,
        find: Callable[[str], InstanceSpec | None],
        host: str = "127.0.0.1",
    ) -> None:
        self._server = _Server((host, port), _Handler)
        self._server.agent, self._server.token, self._server.find = agent, token, find
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="chat-door", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more requests; those under way end with their instances."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a version's starts showed: chats at once on one instance, and seconds until it was ready."""

    at_once: int
    start_seconds: float


@dataclass(slots=True)
class _Run:
    """One chat on an instance, by the clock of this host. `seconds`: until the newest piece of its answer."""

    began: float
    most: float
    seconds: float = 0.0

    def left(self) -> float:
        """For how long it may go on, in seconds."""
        return self.began + self.most - time.monotonic()

    def answers(self) -> None:
        """A piece of its answer came."""
        self.seconds = min(time.monotonic() - self.began, self.most)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    agent: Agent
    token: str
    find: Callable[[str], InstanceSpec | None]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.known: dict[str, _Known] = {}
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, *, most: float) -> _Run:
        """A run from now on, remembered if it has a name."""
        run = _Run(time.monotonic(), most)
        if name:
            with self._lock:
                self._runs[name[:100]] = run
                while len(self._runs) > REMEMBERED:
                    del self._runs[next(iter(self._runs))]
        return run

    def milliseconds_of(self, name: str) -> int | None:
        """How long a run has taken so far; None for one that is not known (any more)."""
        with self._lock:
            run = self._runs.get(name)
        return None if run is None else round(run.seconds * 1000)

    def outlook(self) -> dict[str, Any]:
        """`free`: instances that could be started. By version: chats at once on those that are, those under way, …"""
        said = self.agent.describe()
        versions: dict[str, dict[str, Any]] = {
            version: {"slots": 0, "taken": 0, "at_once": one.at_once, "start_seconds": one.start_seconds}
            for version, one in self.known.copy().items()
        }
        for instance in said["instances"]:
            version = versions.get(instance["version"])
            if version is not None and not instance["pool"]:
                version["slots"] += 0 if instance["state"] == "starting" else version["at_once"]
                version["taken"] += instance["running"]
        return {"free": 0 if said["draining"] else max(0, said["free"]), "versions": versions}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30
    protocol_version = "HTTP/1.1"
    server_version = "chats"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are counted where they are charged."""

    def do_GET(self) -> None:
        """How many chats are served at once, or how long one took."""
        self.close_connection = True
        if not self._has_token():
            return self._refuse(401, "This door is opened by the site's own token.")
        if self.path.startswith(RUNS):
            milliseconds = self.server.milliseconds_of(self.path.removeprefix(RUNS))
            if milliseconds is None:
                return self._refuse(404, "There is no such run on this host.")
            return self._answer(200, {"milliseconds": milliseconds})
        if self.path != CAPACITY:
            return self._refuse(404, f"Only {CAPACITY} is told here.")
        return self._answer(200, self.server.outlook())

    def do_POST(self) -> None:
        """One chat."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "")
        if not self._has_token():
            return self._refuse(401, "This door is opened by the site's own token.")
        if self.path != PATH:
            return self._refuse(404, f"Only {PATH} is served here.")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return self._refuse(413, f"A body has a length, of at most {MAX_BODY} bytes.")
        body = self.rfile.read(int(length))
        try:
            spec = self.server.find(str(json.loads(body)["model"]))
        except (ValueError, KeyError, TypeError):
            return self._refuse(400, "The body is no chat request.")
        if spec is None:
            return self._refuse(404, "There is no such version on this host.")
        lease = self.server.agent.acquire(spec)
        if lease is None:
            return self._refuse(429, "Every slot of this host is taken.", **{"Retry-After": str(BUSY_SECONDS)})
        with lease:
            began = time.monotonic()
            try:
                for _ in lease.start(is_canceled=lambda: _hung_up(self.connection)):
                    continue
            except RuntimeFailure as error:
                log.warning("A server of chats could not be started: %s", error.message)
                return self._refuse(503, f"The model could not be started: {error.message}")
            instance = lease.instance
            assert instance is not None  # noqa: S101 (start has raised otherwise)
            if not lease.was_warm:
                self.server.known[spec.version_id] = _Known(instance.concurrency, time.monotonic() - began)
            elif spec.version_id not in self.server.known:  # started by the warm pool
                self.server.known[spec.version_id] = _Known(instance.concurrency, instance.setup_seconds)
            run = self.server.begin(self.headers.get(RUN, ""), most=self._most_seconds())
            if not self._pass_on(instance.address, body, run):
                self._refuse(502, "The model's server hung up without an answer.")

    def _most_seconds(self) -> float:
        given = self.headers.get(MOST_MS, "")
        return int(given[:12]) / 1000 if given.isdecimal() else float("inf")

    def _pass_on(self, address: str, body: bytes, run: _Run) -> bool:
        """The request in, the answer's bytes out as they come; False when there was no answer at all."""
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n"
            f"Accept: {self.headers.get('Accept', '*/*')}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        waiting = b""  # the answer's head, until it is whole
        answered = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as model, contextlib.suppress(OSError):
            model.settimeout(SILENT_SECONDS)
            model.connect(address)
            model.sendall(head.encode("latin-1", "replace") + body)
            while True:
                if (left := run.left()) <= 0:
                    return True  # what is paid for is over; cut short, the answer is no whole one
                ready, _, _ = select.select([model, self.connection], [], [], min(SILENT_SECONDS, left))
                if not ready and run.left() <= 0:
                    continue
                if not ready or (self.connection in ready and _hung_up(self.connection)):
                    return True  # silent for too long, or nobody listens: closing the socket tells the model
                if model in ready:
                    piece = model.recv(CHUNK)
                    if not piece:
                        break
                    if not answered:
                        waiting += piece
                        if b"\r\n\r\n" not in waiting and len(waiting) < CHUNK:
                            continue
                        answered, piece = True, _closing(waiting)
                    run.answers()  # before it goes out: who has read it may ask how long it took
                    self.connection.sendall(piece)
        return answered

    def _has_token(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self.server.token.encode())

    def _refuse(self, status: int, message: str, **headers: str) -> None:
        self._answer(status, {"error": {"message": message, "code": status}}, **headers)

    def _answer(self, status: int, data: dict[str, Any], **headers: str) -> None:
        content = json.dumps(data).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)


def _closing(answer: bytes) -> bytes:
    """The beginning of an answer whose head says that the connection ends with it, whatever the model's server says."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"keep-alive:"))]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + rest


def _hung_up(near: socket.socket) -> bool:
    """Whether the caller is gone; more bytes from it are no reason to stop."""
    ready, _, _ = select.select([near], [], [], 0)
    if not ready:
        return False
    try:
        return near.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
