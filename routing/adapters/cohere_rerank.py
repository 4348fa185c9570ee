"""Cohere's reranking: POST /v2/rerank. `base_url` ends before /v2."""

from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, objects, read_object
from routing.adapters.exchanges import Refusals, post_json
from routing.adapters.ranking import read_ranked, text_of
from routing.canonical import Json
from routing.operations.rerank import Ranking, RerankRequest


class CohereRerank(Refusals):
    """Words only; counts searches."""

    def build(self, request: RerankRequest, *, target: Target) -> HttpRequest:
        """A query with its documents."""
        body: dict[str, Json] = {
            "model": target.upstream,
            "query": request.query,
            "documents": [text_of(one) for one in request.documents],
            "top_n": request.wanted,
        }
        if request.max_tokens_per_document is not None:
            body["max_tokens_per_doc"] = request.max_tokens_per_document
        return post_json(target, "/v2/rerank", body)

    def parse_answer(self, body: bytes) -> Ranking:
        """`{"results": [{"index", "relevance_score"}], "meta": {"billed_units": {"search_units"}}}`."""
        data = read_object(body, "ranking")
        billed = inside(inside(data, "meta"), "billed_units")
        return Ranking(read_ranked(objects(data, "results")), searches=count(billed, "search_units"))


RERANK: Final = CohereRerank()
