"""What the dialects of reranking share."""

from collections.abc import Mapping, Sequence

from routing.adapters.bodies import malformed
from routing.canonical import Json
from routing.operations.base import cannot
from routing.operations.rerank import Document, Ranked


def text_of(document: Document) -> str:
    """Its words. Raises UpstreamError(retryable) for an image, which these dialects do not take."""
    if document.image is not None:
        raise cannot("This provider ranks text, not images.")
    return document.text


def read_ranked(rows: Sequence[Mapping[str, Json]]) -> list[Ranked]:
    """The results, the best first. Raises UpstreamError(kind malformed)."""
    found: list[Ranked] = []
    for row in rows:
        index, score = row.get("index"), row.get("relevance_score")
        if type(index) is not int or isinstance(score, bool) or not isinstance(score, int | float):
            raise malformed("The provider's ranking has a result without a place or a score.")
        found.append(Ranked(index, float(score)))
    return sorted(found, key=lambda one: -one.score)
