"""One request and its answer in OpenAI's chat dialect, plain or streamed, with its fault."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

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


class Cut(Exception):
    """Raised on purpose: the server then breaks the connection in the middle of the answer."""


class _Ended(Exception):
    """The body has ended early, and properly."""


@dataclass(slots=True)
class Exchange:
    """What it takes to answer one request; `sent` counts the pieces that went out."""

    id: str
    body: Mapping[str, Any]
    answer: Answer
    fault: Fault
    ttft: float
    tps: float
    send: Callable[[dict[str, Any]], Awaitable[None]]
    sent: int = 0

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
        if (refusal := refusal_of(self.fault)) is not None:
            status, headers, content = refusal
            await self._start(status, headers)
            await self._more(content, last=True)
        elif self.body.get("stream"):
            await self._stream()
        else:
            await self._plain()

    async def _plain(self) -> None:
        if self.tps:
            await asyncio.sleep(self.answer.completion_tokens / self.tps)
        content = json.dumps(self._completion()).encode()
        match self.fault.kind:
            case "malformed":
                content = b'{"choices": [{"index": 0, "mess'
            case "empty":
                content = b'{"id": "x", "object": "chat.completion", "choices": []}'
            case "error":
                content = b'{"error": {"message": "Simulated failure.", "code": 500}}'
            case "clip":
                content = content[: len(content) // 2]
            case "cut" | "stall":
                await self._start(200, [*JSON, (b"content-length", str(len(content)).encode())])
                await self._more(content[: len(content) // 2])
                await self._end_badly()
            case "flood":
                await self._start(200, JSON)
                await self._flood(b'{"choices": [{"message": {"content": "')
        await self._start(200, JSON)
        self.sent = self.answer.completion_tokens
        await self._more(content, last=True)

    async def _stream(self) -> None:
        await self._start(200, EVENTS)
        if self.fault.kind == "malformed":
            await self._more(b'data: {"choices": [{"index": 0, "delta": {"content": "half of\n\n')
        if self.fault.kind == "flood":
            await self._flood(b'data: {"choices": [{"delta": {"content": "')
        if self.fault.kind != "empty":
            await self._event({"choices": [_choice({"role": "assistant", "content": ""})]})
            await self._pieces()
            await self._event({"choices": [_choice({}, finish_reason=self.answer.finish_reason)]})
            asks = self.body.get("stream_options") or {}
            if asks.get("include_usage") and (usage := self._usage()) is not None:
                await self._event({"choices": [], "usage": usage})
        await self._more(b"data: [DONE]\n\n", last=True)

    async def _pieces(self) -> None:
        for delta in self._deltas():
            if self.fault.kind in {"cut", "clip", "stall", "error"} and self.sent >= self.fault.number:
                await self._end_badly()
            await self._event({"choices": [_choice(delta)]})
            self.sent += 1
            if self.tps:
                await asyncio.sleep(1 / self.tps)
        if self.fault.kind in {"cut", "clip", "stall", "error"}:
            await self._end_badly()

    def _deltas(self) -> Iterator[dict[str, Any]]:
        if self.answer.tool is None:
            yield from ({"content": piece} for piece in self.answer.pieces)
            return
        head = {"index": 0, "id": "call_simulated", "type": "function"}
        for place, piece in enumerate(self.answer.pieces):
            if place == 0:
                yield {"tool_calls": [head | {"function": {"name": self.answer.tool[0], "arguments": piece}}]}
            else:
                yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    async def _end_badly(self) -> None:
        match self.fault.kind:
            case "stall":
                await asyncio.Event().wait()
            case "error":
                await self._event({"error": {"message": "Simulated failure.", "code": 500}})
        if self.fault.kind == "cut":
            raise Cut
        await self._more(b"", last=True)
        raise _Ended

    async def _flood(self, head: bytes) -> None:
        await self._more(head)
        while True:
            await self._more(b"x" * 65_536)
            await asyncio.sleep(0)  # the server swallows what a gone client no longer takes: let it say so

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.answer.pieces), "refusal": None}
        if self.answer.tool is not None:
            function = {"name": self.answer.tool[0], "arguments": "".join(self.answer.pieces)}
            call = {"id": "call_simulated", "type": "function", "function": function}
            message |= {"content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.answer.finish_reason}
        completion = {
            "id": self.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.body.get("model"),
            "choices": [choice],
        }
        usage = self._usage()
        return completion if usage is None else completion | {"usage": usage}

    def _usage(self) -> dict[str, int] | None:
        prompt, completion = self.answer.prompt_tokens, self.answer.completion_tokens
        match self.fault.kind:
            case "nousage":
                return None
            case "badusage":
                prompt, completion = -prompt, -completion
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    async def _start(self, status: int, headers: Headers) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _more(self, content: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": not last})

    async def _event(self, data: Mapping[str, Any]) -> None:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": CREATED, "model": self.body.get("model")}
        await self._more(b"data: " + json.dumps({**head, **data}).encode() + b"\n\n")


def refusal_of(fault: Fault) -> tuple[int, Headers, bytes] | None:
    """The whole answer (status, headers, body) of a fault that is one."""
    match fault.kind:
        case "status" | "429":
            status = 429 if fault.kind == "429" else int(fault.number)
            headers = [*JSON]
            if status == 429:
                headers.append((b"retry-after", f"{fault.number:g}".encode()))
            code = STATUS_CODES.get(status, "server_error")
            message = f"Simulated refusal with status {status}."
            error = {"message": message, "type": code, "param": None, "code": code}
            return status, headers, json.dumps({"error": error}).encode()
        case "html":
            return 200, HTML, b"<!doctype html><title>Down for maintenance</title>"
        case "redirect":
            return 307, [*JSON, (b"location", b"http://127.0.0.1:9/elsewhere")], b"{}"
    return None


def _choice(delta: Mapping[str, Any], *, finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
