"""POST audio/speech and audio/transcriptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.parsers import MultiPartParser

from marketplace.api.described import Described
from marketplace.lib import pool
from routing.api.base import View, plain
from routing.ingress import speech as speech_ingress
from routing.ingress import transcription as ingress
from routing.operations.speech import FORMATS, MAX_CHARACTERS
from routing.operations.transcription import TRANSCRIPTION, TranscriptionRequest
from routing.services.operations import perform
from routing.services.speech import Spoken, speak

MODEL: Final = {"type": "string", "description": "publisher/model"}
SPEECH: Final = Described(
    body={
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": MODEL,
            "input": {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
            "voice": {"type": "string"},
            "response_format": {"enum": list(FORMATS), "default": "pcm"},
            "speed": {"type": "number", "minimum": speech_ingress.SLOWEST, "maximum": speech_ingress.FASTEST},
            "instructions": {"type": "string"},
            "provider": {"type": "object"},
        },
    },
)
TRANSCRIBED: Final = Described(
    body={
        "type": "object",
        "required": ["model", "input_audio"],
        "properties": {
            "model": MODEL,
            "input_audio": {
                "type": "object",
                "required": ["data", "format"],
                "properties": {"data": {"type": "string"}, "format": {"type": "string"}},
            },
            "language": {"type": "string"},
            "prompt": {"type": "string"},
            "response_format": {"enum": list(ingress.FORMATS), "default": "json"},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "timestamp_granularities": {"type": "array", "items": {"enum": ["segment", "word"]}},
            "provider": {"type": "object"},
        },
    }
)


class Speech(View):
    """Read a text aloud."""

    described: Final = {"post": SPEECH}

    async def post(self, request: Any) -> HttpResponseBase:
        """The sound, as it comes."""
        caller = await self.payer(request)
        wanted = speech_ingress.parse(plain(request).body)
        spoken = await speak(caller=caller, request=wanted)
        headers = {"X-Generation-Id": spoken.public_id}
        return StreamingHttpResponse(Sound(spoken), content_type=FORMATS[wanted.format], headers=headers)


class Sound:
    """The bytes of speech. Django iterates it, and closes it however the request ends."""

    def __init__(self, spoken: Spoken) -> None:
        self._spoken = spoken
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        async for piece in self._spoken.pieces():
            yield piece

    def close(self) -> None:
        """The request is over: let the provider's connection go."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._spoken.sound.close()))


class Transcriptions(View):
    """Write down what is said: a file as multipart/form-data, or base64 in JSON."""

    parser_classes = (MultiPartParser,)
    described: Final = {"post": TRANSCRIBED}

    async def post(self, request: Any) -> HttpResponse:
        """The words, as text or with their times."""
        caller = await self.payer(request)
        wanted = await pool.run(_read, request)
        done = await perform(caller=caller, request=wanted, operation=TRANSCRIPTION)
        seconds = TRANSCRIPTION.used(wanted, done.answer).units["audio_second"]
        body, kind = ingress.write(done.answer, form=wanted.form, seconds=seconds, bill=done.bill)
        return HttpResponse(body, content_type=kind, headers={"X-Generation-Id": done.public_id})


def _read(request: Any) -> TranscriptionRequest:
    """The request from either form; base64 and the measuring of sound are no work for the event loop."""
    asked = plain(request)
    if not (asked.content_type or "").startswith("multipart/"):
        return ingress.parse(asked.body)
    file = asked.FILES.get("file")
    form = {name: asked.POST.getlist(name) for name in asked.POST}
    return ingress.parse_form(form, name=(file.name or "") if file else "", audio=file.read() if file else None)
