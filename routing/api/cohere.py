"""POST /api/v2/chat: Cohere's dialect over the same services as every other. No rule lives here."""

from __future__ import annotations

from typing import Any, Final

from django.http.response import HttpResponseBase

from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, plain
from routing.ingress import cohere
from routing.ingress.cohere_answers import Writer


class CohereChat(View):
    """Cohere's chat, plain and streamed."""

    described: Final = {"post": bodies.COHERE_CHAT}

    async def post(self, request: Any) -> HttpResponseBase:
        """Answer a chat."""
        caller = await self.payer(request)
        wanted = cohere.parse(plain(request).body)
        without_thoughts = wanted.reasoning is not None and wanted.reasoning.exclude

        def writer(head: Head) -> Writer:
            return Writer(head.id, head.model, head.provider, exclude_reasoning=without_thoughts, told=head.told)

        return await respond(caller=caller, request=wanted, writer=writer, headers=plain(request).headers)
