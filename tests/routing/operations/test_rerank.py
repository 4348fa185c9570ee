"""Reranking between callers and providers: what is read, what is sent in each dialect, what is charged."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.adapters.base import Target
from routing.adapters.registry import EXCHANGES, exchange_for
from routing.canonical import UpstreamError, Usage
from routing.ingress import rerank as ingress
from routing.operations.rerank import RERANK, Document, Ranked, Ranking, RerankRequest

ASKED = {"model": "acme/ranker", "query": "capital", "documents": ["Paris", {"text": "Rome"}, "Bern"]}
TARGET = Target("https://up.example", "ranker-1", {"api_key": "secret"})


def read(**fields: Any) -> RerankRequest:
    return ingress.parse(orjson.dumps(ASKED | fields))


def sent(kind: str, **fields: Any) -> Any:
    request = exchange_for("rerank", kind).build(read(**fields), target=TARGET)
    return request.url, orjson.loads(request.body)


def test_documents_are_strings_or_objects() -> None:
    pictured = read(documents=["a", {"text": "b", "image": "https://x.example/i.png"}])
    assert pictured.documents == (Document("a"), Document("b", "https://x.example/i.png"))
    assert RERANK.need(pictured).inputs == {"text", "image"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a"] * 1_001}, "1000"),
        ({"documents": ["a", {}]}, r"documents\[1\]"),
        ({"documents": [{"text": 5}]}, r"documents\[0\]"),
        ({"top_n": 0}, "top_n"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


def test_each_dialect_is_asked_in_its_own_words() -> None:
    words = ["Paris", "Rome", "Bern"]
    assert sent("together", top_n=2) == (
        "https://up.example/rerank",
        {"model": "ranker-1", "query": "capital", "documents": words, "top_n": 2, "return_documents": False},
    )
    assert sent("cohere", max_tokens_per_doc=100) == (
        "https://up.example/v2/rerank",
        {"model": "ranker-1", "query": "capital", "documents": words, "top_n": 3, "max_tokens_per_doc": 100},
    )


@pytest.mark.parametrize("kind", EXCHANGES["rerank"])
def test_an_image_is_left_to_an_endpoint_that_takes_it(kind: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        sent(kind, documents=[{"image": "https://x.example/i.png"}])
    assert caught.value.retryable


def test_answers_are_sorted_and_counted() -> None:
    rows = [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.9}]
    found = exchange_for("rerank", "generic").parse_answer(
        orjson.dumps({"results": rows, "usage": {"total_tokens": 8}})
    )
    assert found == Ranking([Ranked(2, 0.9), Ranked(0, 0.1)], tokens=8)
    meta = {"billed_units": {"search_units": 2}}
    assert exchange_for("rerank", "cohere").parse_answer(orjson.dumps({"results": rows, "meta": meta})).searches == 2


@pytest.mark.parametrize(
    "rows",
    [[], [(0, 1.0)], [(0, 1.0), (0, 0.5), (1, 0.1)], [(0, 1.0), (1, 0.5), (3, 0.1)], [(0, 1.0), (1, 0.5), (-1, 0)]],
)
def test_a_ranking_that_was_not_asked_for_is_refused(rows: list[tuple[int, float]]) -> None:
    with pytest.raises(UpstreamError):
        RERANK.check(read(), Ranking([Ranked(*row) for row in rows]))


@pytest.mark.parametrize("row", [{}, {"index": "0", "relevance_score": 1}, {"index": 0, "relevance_score": True}])
def test_a_result_without_place_or_score_is_malformed(row: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        exchange_for("rerank", "cohere").parse_answer(orjson.dumps({"results": [row]}))
    assert caught.value.kind == "malformed"


def test_a_search_is_a_hundred_documents_or_chunks() -> None:
    def searches(**fields: Any) -> int:
        answer = Ranking([])
        return RERANK.used(read(query="q", **fields), answer).units["search_unit"]

    assert searches(documents=["a"] * 100) == 1
    assert searches(documents=["a"] * 101) == 2
    assert searches(documents=["a" * 500 * 4 * 101]) == 2
    assert RERANK.need(read(query="q", documents=["a" * 500 * 101])).units == {"search_unit": 2}


def test_the_providers_count_is_taken_first() -> None:
    assert RERANK.used(read(), Ranking([], tokens=8)).usage == Usage(8)
    assert RERANK.used(read(), Ranking([], searches=3)).units == {"search_unit": 3}
    assert RERANK.used(read(), Ranking([])).usage.source == "counted"
