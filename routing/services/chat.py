"""One chat, from admission to settlement. This module reads as the story: admit, choose, call, settle.

Async only, and free of any web framework. Before the first piece of an answer a failure moves on to the
next endpoint; after it there is no way back. Every way out settles or releases exactly once.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from marketplace.lib import env
from marketplace.services.keys import Caller
from routing.adapters.base import HttpRequest
from routing.adapters.registry import adapter_for
from routing.canonical import ChatRequest, Chunk, UpstreamError
from routing.ingress.openai_chat_answers import Bill
from routing.models import Generation
from routing.selection.needs import need_of
from routing.services import settlement
from routing.services.admission import Try
from routing.services.attachments import attach
from routing.services.calls import Call, begin, keep
from routing.services.reencoding import Media
from routing.services.routes import Route
from routing.upstream import SENDER, Stream

Status = Generation.Status

KEEP_ALIVE_SECONDS: Final = env.integer("STREAM_KEEP_ALIVE_MS", 5_000, minimum=1) / 1000
UNREAD_SECONDS: Final = 30.0
STREAM_SECONDS: Final = 3_000.0  # less than a hold is good for


@dataclass(frozen=True, slots=True)
class Completed:
    """A plain answer and its bill."""

    generation_id: UUID
    route: Route
    chunk: Chunk
    bill: Bill
    told: Mapping[str, Any]  # of the routing


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing new for a while: time for a comment that keeps the connection open."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The clean end of a stream."""

    bill: Bill


@dataclass(frozen=True, slots=True)
class Broken:
    """The end of a stream that broke."""

    error: UpstreamError
    bill: Bill


async def complete(*, caller: Caller, request: ChatRequest) -> Completed:
    """Answer a chat in one piece. Raises AppError."""
    request = await attach(caller=caller, request=request)
    call = await begin(caller=caller, request=request, need_of=need_of, build=_build, fit=Media().fitted)
    try:
        route, chunk = await call.try_each(
            lambda sent, kind, patience: SENDER.send(sent, adapter=adapter_for(kind), patience=patience)
        )
    except BaseException as error:
        await call.give_up(error)
        raise
    call.take(chunk)
    bill = await call.charge(Status.FINISHED)
    return Completed(call.admission.generation_id, route, chunk, bill, call.tell())


async def open_stream(*, caller: Caller, request: ChatRequest, endpoint_id: int | None = None) -> "ChatStream":
    """Begin a streamed answer, by `endpoint_id` alone if given: returns when its first piece is in hand.

    Raises AppError.
    """
    request = await attach(caller=caller, request=request)
    call = await begin(
        caller=caller, request=request, need_of=need_of, build=_build, fit=Media().fitted, streamed=True,
        endpoint_id=endpoint_id,
    )  # fmt: skip
    try:
        _, stream = await call.try_each(
            lambda sent, kind, patience: SENDER.open_stream(sent, adapter=adapter_for(kind), patience=patience)
        )
    except BaseException as error:
        await call.give_up(error)
        raise
    return ChatStream(call, stream)


def _build(attempt: Try, request: ChatRequest) -> HttpRequest:
    route = attempt.route
    return adapter_for(route.dialect).build(
        request, target=route.target, stream=request.stream, max_tokens=attempt.max_tokens
    )


class ChatStream:
    """A streamed answer whose first piece is in hand. Iterate `events` to its end, or call `hang_up_soon`."""

    def __init__(self, call: Call, stream: Stream) -> None:
        self._call = call
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        # However its reader fails, a stream has an end: never begun, or never taken to its end.
        self._unread = self._loop.call_later(UNREAD_SECONDS, self.hang_up_soon)
        self._overdue = self._loop.call_later(STREAM_SECONDS, self.hang_up_soon)

    @property
    def generation_id(self) -> UUID:
        """Whose stream it is."""
        return self._call.admission.generation_id

    @property
    def route(self) -> Route:
        """The endpoint that answers."""
        route = self._call.live.route
        if route is None:
            raise RuntimeError("a stream is opened by an endpoint")
        return route

    @property
    def told(self) -> Mapping[str, Any]:
        """What a caller who asks for it is told of the routing."""
        return self._call.tell()

    async def events(self) -> AsyncIterator[Chunk | Waiting | Finished | Broken]:
        """The pieces, and at the end exactly one of Finished and Broken, settled before it is given."""
        call = self._call
        self._unread.cancel()
        try:
            async for batch in self._batches():
                if batch is None:
                    yield Waiting()
                    continue
                for chunk in batch:
                    call.take(chunk)
                    yield chunk
                if call.live.is_lost:
                    break
            if call.live.is_lost or call.has_ended:
                raise UpstreamError("The stream was given up.", kind="cut", retryable=False)
            yield Finished(await call.charge(Status.FINISHED))
        except UpstreamError as error:
            await self._stream.close()
            if error.retryable:
                call.broke(error)
            call.finish_reason = "error"
            yield Broken(error, await self._settle_broken(error))
        finally:
            await self._hang_up()

    async def _settle_broken(self, error: UpstreamError) -> Bill:
        if self._call.live.delivered_bytes:
            return await self._call.charge(Status.FAILED, error_kind=error.kind)
        await self._call.give_up(error)
        return settlement.NOTHING

    async def _batches(self) -> AsyncIterator[list[Chunk] | None]:
        """The pieces as they come; None each time nothing came for a while."""
        batches = aiter(self._stream.chunks())
        while True:
            step = asyncio.ensure_future(anext(batches, []))
            try:
                while not (await asyncio.wait({step}, timeout=KEEP_ALIVE_SECONDS))[0]:
                    yield None
            except BaseException:
                step.cancel()
                raise
            if not (batch := step.result()):
                return
            yield batch

    def hang_up_soon(self) -> None:
        """End the stream from any thread, if it has not ended by itself."""
        if not self._call.has_ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: keep(self._hang_up()))

    async def _hang_up(self) -> None:
        await asyncio.shield(keep(self._let_go()))

    async def _let_go(self) -> None:
        self._unread.cancel()
        self._overdue.cancel()
        await self._stream.close()
        await self._call.hang_up()
