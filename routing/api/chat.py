"""POST chat/completions: the caller's bytes in, the service's answer out as bytes. No rule lives here."""

from __future__ import annotations

from typing import Any, Final

from django.http.response import HttpResponseBase

from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, plain
from routing.ingress import openai_chat
from routing.ingress.openai_chat_answers import Writer


class ChatCompletions(View):
    """OpenAI's chat completions, plain and streamed."""

    described: Final = {"post": bodies.CHAT}

    async def post(self, request: Any) -> HttpResponseBase:
        """Answer a chat."""
        caller = await self.payer(request)
        wanted = openai_chat.parse(plain(request).body)
        thoughts = wanted.reasoning is not None and wanted.reasoning.exclude

        def writer(head: Head) -> Writer:
            return Writer(head.id, head.created, head.model, head.provider, exclude_reasoning=thoughts, told=head.told)

        return await respond(caller=caller, request=wanted, writer=writer, headers=plain(request).headers)
