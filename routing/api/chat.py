"""POST chat/completions: the caller's bytes in, the service's answer out as bytes. No rule lives here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from marketplace.lib import ids
from routing.api.base import View, plain
from routing.canonical import Chunk
from routing.ingress import openai_chat
from routing.ingress.openai_chat_answers import KEEP_ALIVE, Writer
from routing.services import chat
from routing.services.failures import BROKEN, broken_metadata
from routing.services.routes import Route

EVENT_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class ChatCompletions(View):
    """OpenAI's chat completions, plain and streamed."""

    async def post(self, request: Any) -> HttpResponseBase:
        """Answer a chat."""
        caller = await self.caller(request)
        wanted = openai_chat.parse(plain(request).body)
        thoughts = wanted.reasoning is not None and wanted.reasoning.exclude
        if wanted.stream:
            stream = await chat.open_stream(caller=caller, request=wanted)
            writer = _writer(stream.generation_id, stream.route, exclude_reasoning=thoughts)
            headers = EVENT_HEADERS | {"X-Generation-Id": writer.id}
            return StreamingHttpResponse(Body(stream, writer), content_type="text/event-stream", headers=headers)
        done = await chat.complete(caller=caller, request=wanted)
        writer = _writer(done.generation_id, done.route, exclude_reasoning=thoughts)
        body = writer.answer(done.chunk, done.bill)
        return HttpResponse(body, content_type="application/json", headers={"X-Generation-Id": writer.id})


def _writer(generation_id: Any, route: Route, *, exclude_reasoning: bool) -> Writer:
    return Writer(
        id=ids.generation_id(generation_id),
        created=(generation_id.int >> 80) // 1000,
        model=route.candidate.model,
        provider=route.candidate.provider_name,
        exclude_reasoning=exclude_reasoning,
    )


class Body:
    """A stream's bytes. Django iterates it, and closes it however the request ends."""

    def __init__(self, stream: chat.ChatStream, writer: Writer) -> None:
        self._stream = stream
        self._writer = writer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The events as bytes; empty ones are left out."""
        writer = self._writer
        async for event in self._stream.events():
            match event:
                case Chunk():
                    data = writer.chunk(event)
                case chat.Waiting():
                    data = KEEP_ALIVE
                case chat.Finished(bill):
                    data = writer.last(bill)
                case chat.Broken(error, bill):
                    data = writer.broken(code=502, message=BROKEN, metadata=broken_metadata(error), bill=bill)
            if data:
                yield data
                await asyncio.sleep(0)  # a long burst must not keep the other requests waiting

    def close(self) -> None:
        """The request is over: whatever has not ended by itself ends now."""
        self._stream.hang_up_soon()
