"""POST messages: Anthropic's dialect over the same services as every other. No rule lives here."""

from __future__ import annotations

import re
from typing import Any, Final

from django.http.response import HttpResponseBase

from marketplace.lib import pool
from marketplace.lib.errors import InvalidRequest
from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, answer, plain
from routing.canonical import ChatRequest
from routing.ingress import anthropic_messages
from routing.ingress.anthropic_messages_answers import Writer
from routing.services import counting

VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class _View(View):
    def read(self, request: Any) -> ChatRequest:
        """The body. All versions of the dialect are read alike; a version that can be none is refused."""
        version = plain(request).headers.get("anthropic-version")
        if version is not None and not VERSION.fullmatch(version):
            raise InvalidRequest("The header 'anthropic-version' must be a date, such as 2023-06-01.")
        return anthropic_messages.parse(plain(request).body)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Name the request as Anthropic's clients look for it, on errors too."""
        response.headers["request-id"] = plain(request).META["TURNPIKE_REQUEST_ID"]
        return super().finalize_response(request, response, *args, **kwargs)


class Messages(_View):
    """Anthropic's Messages, plain and streamed."""

    described: Final = {"post": bodies.MESSAGES}

    async def post(self, request: Any) -> HttpResponseBase:
        """Answer a message."""
        caller = await self.payer(request)
        wanted = self.read(request)
        thoughts = wanted.reasoning is not None and wanted.reasoning.exclude
        stops = tuple(wanted.parameters.get("stop", ()))

        def writer(head: Head) -> Writer:
            return Writer(
                head.id,
                head.model,
                head.provider,
                stop_sequences=stops,
                exclude_reasoning=thoughts,
                told=head.told,
            )

        return await respond(caller=caller, request=wanted, writer=writer, headers=plain(request).headers)


class CountTokens(_View):
    """The length of a message, by estimate; free of charge."""

    async def post(self, request: Any) -> HttpResponseBase:
        """How many tokens a message's input has."""
        caller = await self.caller(request)
        count = await pool.run(counting.count, caller=caller, request=self.read(request))
        return answer({"input_tokens": count})
