"""Reranking as Jina began it and Together, vLLM and others have it: POST /rerank."""

from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, objects, read_object
from routing.adapters.exchanges import Refusals, post_json
from routing.adapters.ranking import read_ranked, text_of
from routing.canonical import Json
from routing.operations.rerank import Ranking, RerankRequest


class JinaRerank(Refusals):
    """Words only; counts tokens."""

    def build(self, request: RerankRequest, *, target: Target) -> HttpRequest:
        """The documents are not asked back: we have them."""
        body: dict[str, Json] = {
            "model": target.upstream,
            "query": request.query,
            "documents": [text_of(one) for one in request.documents],
            "top_n": request.wanted,
            "return_documents": False,
        }
        return post_json(target, "/rerank", body)

    def parse_answer(self, body: bytes) -> Ranking:
        """`{"results": [{"index", "relevance_score"}], "usage": {"total_tokens"}}`."""
        data = read_object(body, "ranking")
        usage = inside(data, "usage")
        return Ranking(read_ranked(objects(data, "results")), tokens=count(usage, "total_tokens"))


RERANK: Final = JinaRerank()
