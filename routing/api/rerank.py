"""POST rerank, in our shape and in Cohere's."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse

from marketplace.api.described import Described
from routing.api.base import View, plain
from routing.ingress import rerank as ingress
from routing.operations.rerank import MAX_DOCUMENTS, RERANK, Ranking, RerankRequest
from routing.services.operations import Done, perform

BODY: Final = Described(
    body={
        "type": "object",
        "required": ["model", "query", "documents"],
        "properties": {
            "model": {"type": "string", "description": "publisher/model"},
            "query": {"type": "string", "minLength": 1},
            "documents": {"type": "array", "minItems": 1, "maxItems": MAX_DOCUMENTS},
            "top_n": {"type": "integer", "minimum": 1},
            "provider": {"type": "object"},
        },
    }
)


class Rerank(View):
    """Rank documents; each comes back with its score."""

    described: Final = {"post": BODY}

    async def post(self, request: Any) -> HttpResponse:
        """The best documents first."""
        caller = await self.payer(request)
        wanted = ingress.parse(plain(request).body)
        done = await perform(caller=caller, request=wanted, operation=RERANK)
        return _respond(done, self._written(wanted, done))

    def _written(self, wanted: RerankRequest, done: Done[Ranking]) -> bytes:
        candidate = done.route.candidate
        return ingress.write(
            wanted,
            done.answer,
            id=done.public_id,
            model=candidate.model,
            provider=candidate.provider_name,
            bill=done.bill,
        )


class CohereRerank(Rerank):
    """The same for Cohere's clients."""

    def _written(self, wanted: RerankRequest, done: Done[Ranking]) -> bytes:
        searches = RERANK.used(wanted, done.answer).units["search_unit"]
        return ingress.write_cohere(done.answer, id=done.public_id, searches=searches)


def _respond(done: Done[Ranking], body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json", headers={"X-Generation-Id": done.public_id})
