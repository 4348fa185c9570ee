"""POST responses: OpenAI's Responses dialect over the same services as every chat. No rule lives here."""

from __future__ import annotations

from typing import Any, Final

from django.http.response import HttpResponseBase

from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, plain
from routing.ingress import openai_responses
from routing.ingress.openai_responses_answers import Writer


class Responses(View):
    """OpenAI's responses, plain and streamed; none is stored."""

    described: Final = {"post": bodies.RESPONSE}

    async def post(self, request: Any) -> HttpResponseBase:
        """Answer."""
        caller = await self.payer(request)
        asked = openai_responses.parse(plain(request).body)
        wish = asked.request.reasoning

        def writer(head: Head) -> Writer:
            return Writer(
                head.id,
                head.created,
                head.model,
                head.provider,
                echo=asked.echo,
                exclude_reasoning=wish is not None and wish.exclude,
                told=head.told,
            )

        return await respond(caller=caller, request=asked.request, writer=writer, headers=plain(request).headers)
