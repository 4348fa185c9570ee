"""POST completions: legacy text completions over the same services as every chat. No rule lives here."""

from __future__ import annotations

from typing import Any, Final

from django.http.response import HttpResponseBase

from routing.api import bodies
from routing.api.answering import Head, respond
from routing.api.base import View, plain
from routing.ingress import openai_completions
from routing.ingress.openai_completions_answers import Writer


class Completions(View):
    """OpenAI's text completions, plain and streamed."""

    described: Final = {"post": bodies.COMPLETION}

    async def post(self, request: Any) -> HttpResponseBase:
        """Go on from a prompt."""
        caller = await self.payer(request)
        asked = openai_completions.parse(plain(request).body)
        wish = asked.request.reasoning

        def writer(head: Head) -> Writer:
            return Writer(
                head.id,
                head.created,
                head.model,
                head.provider,
                echoed=asked.echoed,
                exclude_reasoning=wish is not None and wish.exclude,
                told=head.told,
            )

        return await respond(caller=caller, request=asked.request, writer=writer, headers=plain(request).headers)
