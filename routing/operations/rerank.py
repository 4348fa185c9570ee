"""Documents in the order of how well they answer a query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from routing.canonical import Usage
from routing.operations.base import Asked, Used, short_of
from routing.selection.candidates import Need
from routing.selection.needs import BYTES_PER_TOKEN, IMAGE_TOKENS

MAX_DOCUMENTS: Final = 1_000
# One search covers a query with a hundred documents; a longer document counts once for every 500 tokens of it
# together with the query (Cohere's rule, whose unit it is).
SEARCH_DOCUMENTS: Final = 100
CHUNK_TOKENS: Final = 500
LEAST_ROOM: Final = 100


@dataclass(frozen=True, slots=True)
class Document:
    """What is ranked: words, an image by http(s) or data URL, or both."""

    text: str = ""
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest(Asked):
    """`top_n` documents at most are wanted back; all where it is None."""

    query: str
    documents: tuple[Document, ...]
    top_n: int | None = None
    max_tokens_per_document: int | None = None

    @property
    def wanted(self) -> int:
        """How many results there must be."""
        return min(self.top_n or len(self.documents), len(self.documents))


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document by its place in the request, and how well it fits."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best first. Counts are None where the provider gave none."""

    results: Sequence[Ranked]
    searches: int | None = None
    tokens: int | None = None


class RerankOperation:
    """Priced by searches (`search_unit`), by the request, or by tokens read (`prompt`)."""

    name = "rerank"

    def need(self, request: RerankRequest) -> Need:
        """A byte is a token at most; the query is read once with each document. Long documents are cut, not refused."""
        has_images = any(document.image is not None for document in request.documents)
        return Need(
            input_bound=_tokens(request, 1),
            input_estimate=len(request.query.encode()) // BYTES_PER_TOKEN,
            max_tokens=0,
            units={"search_unit": _searches(request, 1)},
            inputs=frozenset({"text", "image"} if has_images else {"text"}),
            outputs=frozenset({"rerank"}),
        )

    def check(self, request: RerankRequest, answer: Ranking) -> None:
        """As many as were asked for, each once, and each one of the documents."""
        places = [one.index for one in answer.results]
        if len(set(places)) != len(places) or not all(0 <= place < len(request.documents) for place in places):
            raise short_of("The provider's ranking names documents that there are not.")
        if len(places) != request.wanted:
            raise short_of(f"The provider ranked {len(places)} documents, {request.wanted} were asked for.")

    def used(self, request: RerankRequest, answer: Ranking) -> Used:
        """By the provider's count of searches or tokens; what it does not count, we do."""
        searches = _searches(request, BYTES_PER_TOKEN) if answer.searches is None else answer.searches
        is_counted = answer.tokens is None and answer.searches is None
        tokens = _tokens(request, BYTES_PER_TOKEN) if answer.tokens is None else answer.tokens
        return Used(Usage(tokens, source="counted" if is_counted else "provider"), {"search_unit": searches})


RERANK: Final = RerankOperation()


def _tokens(request: RerankRequest, bytes_per_token: int) -> int:
    query = len(request.query.encode())
    size = sum(query + len(document.text.encode()) for document in request.documents)
    return -(-size // bytes_per_token) + IMAGE_TOKENS * sum(one.image is not None for one in request.documents)


def _searches(request: RerankRequest, bytes_per_token: int) -> int:
    room = max(LEAST_ROOM, CHUNK_TOKENS - len(request.query.encode()) // bytes_per_token)
    sizes = [len(document.text.encode()) / bytes_per_token for document in request.documents]
    chunks = sum(max(1, -int(-size // room)) for size in sizes)
    return -(-chunks // SEARCH_DOCUMENTS)
