"""POST models/{model}:generateContent and its kin: Google's dialect over the same services as every other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from django.http.response import HttpResponseBase

from marketplace.api import auth
from marketplace.lib import pool
from marketplace.services.keys import Caller
from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, answer, plain
from routing.ingress import gemini
from routing.ingress.gemini_answers import Writer
from routing.services import counting

EVENTS: Final = "text/event-stream"


class _View(View):
    async def caller(self, request: Any) -> Caller:
        """The caller; this dialect's clients may also give the key in the address."""
        inner = plain(request)
        return await auth.caller(inner, scope="inference", key=inner.GET.get("key"))

    async def respond(self, request: Any, model: str, *, stream: bool, stream_type: str = EVENTS) -> HttpResponseBase:
        caller = await self.payer(request)
        wanted = gemini.parse(plain(request).body, model=model, stream=stream)

        def writer(head: Head) -> Writer:
            return Writer(
                head.id,
                head.model,
                head.provider,
                show_thoughts=gemini.shows_thoughts(wanted),
                as_array=stream_type != EVENTS,
                told=head.told,
            )

        headers = plain(request).headers
        return await respond(caller=caller, request=wanted, writer=writer, headers=headers, stream_type=stream_type)


class GenerateContent(_View):
    """Google's generateContent."""

    described: Final = {"post": bodies.GENERATION}

    async def post(self, request: Any, model: str) -> HttpResponseBase:
        """Answer in one piece."""
        return await self.respond(request, model, stream=False)


class StreamGenerateContent(_View):
    """Google's streamGenerateContent: events with alt=sse, else the items of one JSON array."""

    described: Final = {
        "post": replace(bodies.GENERATION, query={**bodies.GENERATION.query, "alt": {"enum": ["sse"]}}, streams=True)
    }

    async def post(self, request: Any, model: str) -> HttpResponseBase:
        """Answer as it comes."""
        is_sse = plain(request).GET.get("alt") == "sse"
        return await self.respond(request, model, stream=True, stream_type=EVENTS if is_sse else "application/json")


class CountTokens(_View):
    """The length of a request, by estimate; free of charge."""

    async def post(self, request: Any, model: str) -> HttpResponseBase:
        """How many tokens the input has."""
        caller = await self.caller(request)
        wanted = gemini.parse_to_count(plain(request).body, model=model)
        return answer({"totalTokens": await pool.run(counting.count, caller=caller, request=wanted)})
