"""A chat's answer over HTTP in any dialect: the dialect's writer makes the bytes, this module sends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from marketplace.lib import ids
from marketplace.lib.errors import AppError, InvalidRequest
from marketplace.services.keys import Caller
from routing.canonical import ChatRequest, Chunk, Json
from routing.ingress.openai_chat_answers import Bill
from routing.services import chat
from routing.services.failures import BROKEN, broken_metadata
from routing.services.routes import Route

TELL: Final = ("x-openrouter-metadata", "x-openrouter-experimental-metadata")
SESSION_MAX: Final = 256
EVENT_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Head:
    """What names an answer in every dialect: `gen-…`, seconds since 1970, and who really answers."""

    id: str
    created: int
    model: str
    provider: str
    told: Mapping[str, Any] = field(default_factory=dict)  # of the routing, where the caller asks for it


class Writer(Protocol):
    """Writes one generation's answer in a dialect: either `answer`, or a stream that ends with `last` or `broken`."""

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""

    def chunk(self, chunk: Chunk) -> bytes:
        """The events for a piece; empty where it holds nothing for the caller."""

    def waiting(self) -> bytes:
        """What keeps a silent stream open."""

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream."""

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: never to be taken for a clean one."""


async def respond(
    *,
    caller: Caller,
    request: ChatRequest,
    writer: Callable[[Head], Writer],
    headers: Mapping[str, str],
    stream_type: str = "text/event-stream",
) -> HttpResponseBase:
    """Answer a chat, plain or streamed as it asks; `headers` are the caller's, in any case of letters.

    Raises AppError before the first byte.
    """
    tells = any(headers.get(name, "").lower() == "enabled" for name in TELL)
    if request.session_id is None:
        request = replace(request, session_id=_session(headers))
    try:
        return await _answer(caller, request, writer, tells=tells, stream_type=stream_type)
    except AppError as error:
        if tells:
            error.beside |= error.offered
        raise


async def _answer(
    caller: Caller, request: ChatRequest, writer: Callable[[Head], Writer], *, tells: bool, stream_type: str
) -> HttpResponseBase:
    if request.stream:
        stream = await chat.open_stream(caller=caller, request=request)
        head = _head(stream.generation_id, stream.route, stream.told if tells else {})
        headers = EVENT_HEADERS | {"X-Generation-Id": head.id}
        return StreamingHttpResponse(Body(stream, writer(head)), content_type=stream_type, headers=headers)
    done = await chat.complete(caller=caller, request=request)
    head = _head(done.generation_id, done.route, done.told if tells else {})
    body = writer(head).answer(done.chunk, done.bill)
    return HttpResponse(body, content_type="application/json", headers={"X-Generation-Id": head.id})


def _session(headers: Mapping[str, str]) -> str | None:
    """The conversation that the header names."""
    given = headers.get("x-session-id", "")
    if len(given) > SESSION_MAX:
        raise InvalidRequest(f"The header 'x-session-id' is longer than {SESSION_MAX} characters.")
    return given or None


def _head(generation_id: UUID, route: Route, told: Mapping[str, Any]) -> Head:
    return Head(
        id=ids.generation_id(generation_id),
        created=(generation_id.int >> 80) // 1000,
        model=route.candidate.model,
        provider=route.candidate.provider_name,
        told=told,
    )


class Body:
    """A stream's bytes. Django iterates it, and closes it however the request ends."""

    def __init__(self, stream: chat.ChatStream, writer: Writer) -> None:
        self._stream = stream
        self._writer = writer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The events as bytes; empty ones are left out."""
        async for event in self._stream.events():
            if data := self._written(event):
                yield data
                await asyncio.sleep(0)  # a long burst must not keep the other requests waiting

    def _written(self, event: Chunk | chat.Waiting | chat.Finished | chat.Broken) -> bytes:
        writer = self._writer
        match event:
            case Chunk():
                return writer.chunk(event)
            case chat.Waiting():
                return writer.waiting()
            case chat.Finished(bill):
                return writer.last(bill)
            case chat.Broken(error, bill):
                return writer.broken(code=502, message=BROKEN, metadata=broken_metadata(error), bill=bill)

    def close(self) -> None:
        """The request is over: whatever has not ended by itself ends now."""
        self._stream.hang_up_soon()
