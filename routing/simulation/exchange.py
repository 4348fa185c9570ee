"""One request and its answer, plain or streamed, with its fault: what all simulated dialects share."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from routing.simulation.answers import Answer
from routing.simulation.faults import Fault

Headers = list[tuple[bytes, bytes]]
JSON: Final[Headers] = [(b"content-type", b"application/json")]
EVENTS: Final[Headers] = [(b"content-type", b"text/event-stream; charset=utf-8")]
HTML: Final[Headers] = [(b"content-type", b"text/html")]
CREATED: Final = 1_790_000_000
STATUS_CODES: Final = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    402: "insufficient_balance",
    404: "model_not_found",
    429: "rate_limit_exceeded",
}
BREAKS: Final = frozenset({"cut", "clip", "stall", "error"})  # faults that end a stream in its middle


class Cut(Exception):
    """Raised on purpose: the server then breaks the connection in the middle of the answer."""


class NotAsked(Exception):
    """The body is no request of the dialect; the message says why."""


class _Ended(Exception):
    """The body has ended early, and properly."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request read: in the words of OpenAI's chat dialect, which the answers are made up from."""

    chat: Mapping[str, Any]
    stream: bool
    model: str


@dataclass
class Exchange(ABC):
    """What it takes to answer one request; `sent` counts the pieces that went out. A dialect fills in the shapes."""

    id: str
    asked: Asked
    answer: Answer
    fault: Fault
    ttft: float
    tps: float
    send: Callable[[dict[str, Any]], Awaitable[None]]
    sent: int = 0

    base: ClassVar[str] = ""  # what a provider's base URL ends with
    stream_headers: ClassVar[Headers] = EVENTS
    tail: ClassVar[bytes] = b""  # after the last event
    half: ClassVar[bytes] = b'data: {"half of\n\n'  # an event that is no JSON
    endless: ClassVar[bytes] = b'data: {"half of'
    hollow: ClassVar[bytes] = b"{}"  # a plain answer with nothing in it

    @classmethod
    @abstractmethod
    def serves(cls, path: str) -> bool:
        """Whether a POST to this path is one of the dialect's chats."""

    @classmethod
    @abstractmethod
    def read(cls, path: str, body: Any) -> Asked:
        """The request. Raises NotAsked, or what a malformed body makes of itself."""

    @abstractmethod
    def completion(self) -> dict[str, Any]:
        """The plain answer."""

    def begin(self) -> Iterator[bytes]:
        """What comes before the first piece of a stream."""
        return iter(())

    @abstractmethod
    def piece(self, place: int, text: str) -> bytes:
        """One piece of the answer, or of the arguments of the tool that it calls."""

    @abstractmethod
    def end(self) -> Iterator[bytes]:
        """What comes after the last piece: why it ended, and the usage."""

    def failure(self) -> bytes:
        """An error inside a stream."""
        return event({"error": {"message": "Simulated failure.", "code": 500}})

    def plain_failure(self) -> dict[str, Any]:
        """An error as a whole answer with status 200."""
        return {"error": {"message": "Simulated failure.", "code": 500}}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """(further headers, body) of an answer with an error's status."""
        return [], _refusal(status, why)

    def counts(self) -> tuple[int, int] | None:
        """(tokens in, tokens out) as the fault has them; None where they are left out."""
        prompt, completion = self.answer.prompt_tokens, self.answer.completion_tokens
        match self.fault.kind:
            case "nousage":
                return None
            case "badusage":
                return -prompt, -completion
        return prompt, completion

    @property
    def text(self) -> str:
        """The answer in one piece, or the arguments of the tool."""
        return "".join(self.answer.pieces)

    def arguments(self) -> Any:
        """The arguments as an object; what a cap cut off leaves none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}

    async def run(self) -> None:
        """Answer. Raises Cut where the fault says so."""
        try:
            await self._answer()
        except _Ended:
            return

    async def _answer(self) -> None:
        if self.fault.kind == "hang":
            await asyncio.Event().wait()
        await asyncio.sleep(self.ttft + (self.fault.number if self.fault.kind == "slow" else 0))
        if (refusal := refusal_of(self.fault, self.refusal)) is not None:
            status, headers, content = refusal
            await self._start(status, headers)
            await self._more(content, last=True)
        elif self.asked.stream:
            await self._stream()
        else:
            await self._plain()

    async def _plain(self) -> None:
        if self.tps:
            await asyncio.sleep(self.answer.completion_tokens / self.tps)
        content = json.dumps(self.completion()).encode()
        match self.fault.kind:
            case "malformed":
                content = content[:20]
            case "empty":
                content = self.hollow
            case "error":
                content = json.dumps(self.plain_failure()).encode()
            case "clip":
                content = content[: len(content) // 2]
            case "cut" | "stall":
                await self._start(200, [*JSON, (b"content-length", str(len(content)).encode())])
                await self._more(content[: len(content) // 2])
                await self._end_badly()
            case "flood":
                await self._start(200, JSON)
                await self._flood(b'{"half of": "')
        await self._start(200, JSON)
        self.sent = self.answer.completion_tokens
        await self._more(content, last=True)

    async def _stream(self) -> None:
        await self._start(200, self.stream_headers)
        if self.fault.kind == "malformed":
            await self._more(self.half)
        if self.fault.kind == "flood":
            await self._flood(self.endless)
        if self.fault.kind != "empty":
            for event in self.begin():
                await self._more(event)
            await self._pieces()
            for event in self.end():
                await self._more(event)
        await self._more(self.tail, last=True)

    async def _pieces(self) -> None:
        for place, text in enumerate(self.answer.pieces):
            if self.fault.kind in BREAKS and self.sent >= self.fault.number:
                await self._end_badly()
            await self._more(self.piece(place, text))
            self.sent += 1
            if self.tps:
                await asyncio.sleep(1 / self.tps)
        if self.fault.kind in BREAKS:
            await self._end_badly()

    async def _end_badly(self) -> None:
        match self.fault.kind:
            case "stall":
                await asyncio.Event().wait()
            case "error":
                await self._more(self.failure())
        if self.fault.kind == "cut":
            raise Cut
        await self._more(b"", last=True)
        raise _Ended

    async def _flood(self, head: bytes) -> None:
        await self._more(head)
        while True:
            await self._more(b"x" * 65_536)
            await asyncio.sleep(0)  # the server swallows what a gone client no longer takes: let it say so

    async def _start(self, status: int, headers: Headers) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _more(self, content: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": not last})


def event(data: Mapping[str, Any], *, name: str | None = None) -> bytes:
    """The bytes of a server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(data).encode() + b"\n\n"


def _refusal(status: int, why: str) -> dict[str, Any]:
    code = STATUS_CODES.get(status, "server_error")
    message = why or f"Simulated refusal with status {status}."
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def refusal_of(
    fault: Fault, shape: Callable[[int], tuple[Headers, dict[str, Any]]] = Exchange.refusal
) -> tuple[int, Headers, bytes] | None:
    """The whole answer (status, headers, body) of a fault that is one, in a dialect's shape."""
    match fault.kind:
        case "status" | "429":
            status = 429 if fault.kind == "429" else int(fault.number)
            further, body = shape(status)
            headers = [*JSON, *further]
            if status == 429:
                headers.append((b"retry-after", f"{fault.number:g}".encode()))
            return status, headers, json.dumps(body).encode()
        case "html":
            return 200, HTML, b"<!doctype html><title>Down for maintenance</title>"
        case "redirect":
            return 307, [*JSON, (b"location", b"http://127.0.0.1:9/elsewhere")], b"{}"
    return None
