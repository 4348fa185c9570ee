"""POST embeddings."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse

from marketplace.api.described import Described
from routing.api.base import View, plain
from routing.ingress import embeddings as ingress
from routing.operations.embeddings import EMBEDDINGS, MAX_INPUTS
from routing.services.operations import perform

BODY: Final = Described(
    body={
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "description": "publisher/model"},
            "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "maxItems": MAX_INPUTS}]},
            "dimensions": {"type": "integer", "minimum": 1, "maximum": ingress.MAX_DIMENSIONS},
            "encoding_format": {"enum": ["float", "base64"]},
            "input_type": {"type": "string"},
            "user": {"type": "string"},
            "provider": {"type": "object"},
        },
    }
)


class Embeddings(View):
    """OpenAI's embeddings."""

    described: Final = {"post": BODY}

    async def post(self, request: Any) -> HttpResponse:
        """A vector for each input."""
        caller = await self.payer(request)
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
