"""POST embeddings."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from routing.api.base import View, plain
from routing.ingress import embeddings as ingress
from routing.operations.embeddings import EMBEDDINGS
from routing.services.operations import perform


class Embeddings(View):
    """OpenAI's embeddings."""

    async def post(self, request: Any) -> HttpResponse:
        """A vector for each input."""
        caller = await self.caller(request)
        wanted = ingress.parse(plain(request).body)
        done = await perform(caller=caller, request=wanted, operation=EMBEDDINGS)
        candidate = done.route.candidate
        body = ingress.write(
            done.answer,
            id=done.public_id,
            model=candidate.model,
            provider=candidate.provider_name,
            bill=done.bill,
            base64=wanted.base64,
        )
        return HttpResponse(body, content_type="application/json", headers={"X-Generation-Id": done.public_id})
