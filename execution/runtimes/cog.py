"""Cog's HTTP server as we speak to it: over a unix socket, with every answer bounded.

Predictions are driven by server-sent events (facts: the builder marks every schema with x-cog-streaming): logs and
output come once each, as they happen; polling would send all of them again each time, webhooks throttle logs.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Any, Final
from urllib.parse import quote

import httpx

from execution.runtimes.base import RunLimits
from execution.runtimes.cog_events import SMALL, Events, Message

CHUNK: Final = 64 * 1024
QUEUED_CHUNKS: Final = 64
TICK_SECONDS: Final = 0.1
SEND_SECONDS: Final = 60.0
HEALTH_SECONDS: Final = 3.0
BUSY_SECONDS: Final = 10.0  # a slot is free a little after the answer before it
PREFIX: Final = re.compile(
    r"^(?:Generator iteration error: |"
    r"(?:Prediction|Training|Setup|setup|worker setup) failed(?: \(slot [0-9a-f-]+\))?: )+"
)

HINTS: Final = {
    "Failed to parse output JSON": ". NaN, infinity and half of a character (a lone surrogate) are no JSON: return "
    "None or a text in their place.",
    "Failed to serialize output: TypeError": ". Return text, numbers, lists and dicts of these, or a cog.Path.",
}


class Gone(Exception):
    """The server does not answer any more."""


class Refused(Exception):
    """The server answered, and not with a prediction; the text is its own."""


@dataclass(slots=True)
class Health:
    """`status` in Cog's words; `logs` of the setup."""

    status: str
    logs: str = ""
    succeeded: bool | None = None


def plain_error(text: str) -> str:
    """Cog's error without the prefixes that it stacks, and with what to change where it speaks of its own parts."""
    plain = PREFIX.sub("", text)
    return plain + next((hint for start, hint in HINTS.items() if plain.startswith(start)), "")


@dataclass(slots=True)
class Client:
    """Speaks to one server. Threads may share it."""

    address: str
    limits: RunLimits
    chats: bool = False  # not Cog's server but one of chats: all that is asked of it here is whether it is ready
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=self.address, retries=0),
            base_url="http://model",
            timeout=httpx.Timeout(5.0),
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> Health:
        """What /health-check says. Raises Gone."""
        if self.chats:
            # The list of models answers, which every server of this API has once it is loaded.
            status, _ = self._asked("/v1/models", most=0)
            return Health(status="READY" if status == 200 else "STARTING")
        _, body = self._asked("/health-check", most=4 * self.limits.log_bytes)
        try:
            found = json.loads(body)
            setup = found.get("setup") or {}
            return Health(status=str(found["status"]), logs=str(setup.get("logs") or ""))
        except (ValueError, KeyError, AttributeError) as error:
            raise Gone(str(error)) from error

    def has_listener(self) -> bool:
        """Whether the address has a listener; one that is too busy to take another connection is there, too."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as near:
            near.settimeout(1.0)
            try:
                near.connect(self.address)
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True

    def _asked(self, path: str, *, most: int) -> tuple[int, bytes]:
        """The status and at most so many bytes of a GET's answer, within three seconds. Raises Gone.

        Asked twice for every prediction, and so without the client library, which takes a millisecond for it.
        """
        deadline = time.monotonic() + HEALTH_SECONDS
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as near:
                near.settimeout(1.0)
                near.connect(self.address)
                near.sendall(f"GET {path} HTTP/1.0\r\nHost: model\r\n\r\n".encode())
                status, body = _head(near, lambda: time.monotonic() > deadline)
                while len(body) < most and (piece := _receive(near, lambda: time.monotonic() > deadline)):
                    body += piece
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from error
        if most and (len(body) >= most or time.monotonic() > deadline):
            raise Gone("its health answer is too long, or takes too long")
        return status, body

    def cancel(self, prediction_id: str) -> None:
        """Ask to end the prediction; unknown ids and dead servers are ignored."""
        try:
            self._http.post(f"/predictions/{prediction_id}/cancel", timeout=3.0)
        except httpx.HTTPError:
            return

    def run(
        self,
        *,
        prediction_id: str,
        body: Mapping[str, Any],
        stop: threading.Event,
        on_wait: Callable[[], bool],
        wants_logs: Callable[[], bool],
    ) -> Iterator[Message | None]:
        """The prediction's events; None when nothing came for TICK_SECONDS. Raises Gone, Refused.

        `stop` hangs up, which makes Cog cancel. `on_wait` is asked while the slot is still busy; False gives up.
        When `wants_logs` says no, logs are passed over.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                yield from self._once(prediction_id=prediction_id, body=body, stop=stop, wants_logs=wants_logs)
                return
            except _Busy:
                if time.monotonic() > deadline or not on_wait():
                    raise Refused("all of the model's slots are busy") from None
                time.sleep(0.02)

    def _once(
        self,
        *,
        prediction_id: str,
        body: Mapping[str, Any],
        stop: threading.Event,
        wants_logs: Callable[[], bool],
    ) -> Iterator[Message | None]:
        pieces: Queue[bytes | Exception | None] = Queue(maxsize=QUEUED_CHUNKS)
        hung_up = threading.Event()
        reader = threading.Thread(
            target=self._read, args=(prediction_id, body, pieces, stop, hung_up), name="model-events", daemon=True
        )
        reader.start()
        limits = self.limits
        events = Events(
            {
                "log": {"data": limits.log_bytes},
                "output": {"chunk": limits.output_bytes + 2},
                "completed": {"logs": 0, "output": limits.output_bytes + 2},
            }
        )
        try:
            while True:
                try:
                    piece = pieces.get(timeout=TICK_SECONDS)
                except Empty:
                    yield None
                    continue
                if not piece:
                    return
                if isinstance(piece, Exception):
                    raise piece
                if not wants_logs():
                    events.unwanted.add("log")
                try:
                    yield from events.feed(piece)
                except ValueError as error:
                    raise Gone(f"it sent what cannot be read: {error}") from error
        finally:
            hung_up.set()

    def _read(
        self,
        prediction_id: str,
        body: Mapping[str, Any],
        pieces: Queue[bytes | Exception | None],
        stop: threading.Event,
        hung_up: threading.Event,
    ) -> None:
        """In a thread of its own: waiting for a silent model must not keep the caller from its heartbeat."""

        def put(piece: bytes | Exception | None) -> bool:
            """Whether somebody takes it."""
            while not (stop.is_set() or hung_up.is_set()):
                try:
                    pieces.put(piece, timeout=0.2)
                    return True
                except Full:
                    continue
            return False

        end: Exception | None = None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as near:
                near.settimeout(SEND_SECONDS)
                near.connect(self.address)
                near.sendall(_request(prediction_id, body))
                near.settimeout(1.0)
                status, rest = _head(near, lambda: stop.is_set() or hung_up.is_set())
                if status == 409:
                    end = _Busy()
                elif status != 200:
                    end = Refused(_refusal(status, rest + _rest(near)))
                elif not rest or put(rest):
                    while (piece := _receive(near, lambda: stop.is_set() or hung_up.is_set())) and put(piece):
                        pass
        except (OSError, ValueError) as error:
            end = Gone(str(error) or type(error).__name__)
        put(end)


def _request(prediction_id: str, body: Mapping[str, Any]) -> bytes:
    """As HTTP/1.0: the events then come as they are, not each in a chunk of its own, and end with the connection."""
    content = json.dumps(body).encode()
    head = (
        f"PUT /predictions/{quote(prediction_id, safe='')} HTTP/1.0\r\nHost: model\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _receive(near: socket.socket, is_over: Callable[[], bool]) -> bytes:
    """The next bytes, however long they take; empty at the end, or when it is over for us."""
    while not is_over():
        try:
            return near.recv(CHUNK)
        except TimeoutError:
            continue
    return b""


def _head(near: socket.socket, is_over: Callable[[], bool]) -> tuple[int, bytes]:
    """The answer's status and what came behind its head. Raises ValueError."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = _receive(near, is_over)
        data += piece
        if not piece or len(data) > SMALL:
            raise ValueError("it hung up without an answer")
    head, _, rest = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), rest


def _rest(near: socket.socket) -> bytes:
    """The body of a refusal, as far as it is short."""
    near.settimeout(2.0)
    data = b""
    while len(data) < SMALL and (piece := near.recv(CHUNK)):
        data += piece
    return data


class _Busy(Exception):
    """409: no slot is free."""


def _refusal(status: int, body: bytes) -> str:
    try:
        found = json.loads(body)
        detail = found.get("detail")
        if isinstance(detail, list):
            return "; ".join(f"{'.'.join(map(str, one.get('loc', [])[1:]))}: {one.get('msg')}" for one in detail)[:2000]
        return plain_error(str(found.get("error") or detail or found))[:2000]
    except (ValueError, AttributeError):
        return f"status {status}: {body[:500].decode('utf-8', 'replace')}"
