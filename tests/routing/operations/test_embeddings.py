"""Embeddings between callers and providers: what is read, what is sent in each dialect, what is charged."""

from __future__ import annotations

from base64 import b64decode
from struct import unpack
from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.adapters.base import HttpRequest, Target
from routing.adapters.registry import EXCHANGES, exchange_for
from routing.canonical import Image, Text, UpstreamError, Usage
from routing.ingress import embeddings as ingress
from routing.ingress.openai_chat_answers import Bill
from routing.operations.embeddings import EMBEDDINGS, Embeddings, EmbeddingsRequest, Tokens

HELLO = {"model": "acme/vectors", "input": "hello"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def read(**fields: Any) -> EmbeddingsRequest:
    return ingress.parse(orjson.dumps(HELLO | fields))


def sent(kind: str, **fields: Any) -> tuple[HttpRequest, Any]:
    target = Target("https://up.example/base", "vectors-1", {"api_key": "secret"})
    request = exchange_for("embeddings", kind).build(read(**fields), target=target)
    return request, orjson.loads(request.body)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("hello", ((Text("hello"),),)),
        (["a", "b"], ((Text("a"),), (Text("b"),))),
        ([1, 2, 3], (Tokens((1, 2, 3)),)),
        ([[1], [2, 3]], (Tokens((1,)), Tokens((2, 3)))),
        ([{"content": [{"type": "text", "text": "a"}, PICTURE]}], ((Text("a"), Image("data:image/png;base64,AAAA")),)),
    ],
)
def test_every_form_of_input_is_read(given: Any, found: Any) -> None:
    assert read(input=given).inputs == found


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": ["a", ""]}, r"input\[1\]"),
        ({"input": [["a"]]}, r"input\[0\]"),
        ({"input": [-1]}, r"input\[0\]"),
        ({"input": ["a"] * 2_049}, "2048"),
        ({"input": [{"content": [{"type": "text"}]}]}, r"input\[0\].content\[0\]"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


def test_base64_is_of_little_endian_floats() -> None:
    bill = Bill(Usage(3), 1_500, 1_500, 0)
    answer = Embeddings([[0.5, -1.0]], 3)
    body = orjson.loads(ingress.write(answer, id="gen-1", model="m", provider="P", bill=bill, base64=True))
    assert unpack("<2f", b64decode(body["data"][0]["embedding"])) == (0.5, -1.0)
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "cost": 0.0000015}


def test_openai_and_its_alikes() -> None:
    request, body = sent("openai_chat", dimensions=4, user="u", encoding_format="base64", input=["a", [7, 8]])
    assert request.url == "https://up.example/base/embeddings"
    assert ("authorization", "Bearer secret") in request.headers
    assert body == {"model": "vectors-1", "input": ["a", [7, 8]], "dimensions": 4, "user": "u"}
    assert sent("mistral", dimensions=4, user="u")[1] == {
        "model": "vectors-1", "input": ["hello"], "output_dimension": 4,
    }  # fmt: skip


def test_cohere() -> None:
    request, body = sent("cohere", input=[{"content": [PICTURE]}], input_type="query", dimensions=256)
    assert request.url == "https://up.example/base/v2/embed"
    assert body == {
        "model": "vectors-1", "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256,
        "inputs": [{"content": [PICTURE]}],
    }  # fmt: skip
    answer = {"embeddings": {"float": [[1, 0.5]]}, "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 5}}}
    assert exchange_for("embeddings", "cohere").parse_answer(orjson.dumps(answer)) == Embeddings([[1, 0.5]], 7)


def test_gemini() -> None:
    request, body = sent("gemini", input=["a", "b"], input_type="search_document", dimensions=2)
    assert request.url == "https://up.example/base/models/vectors-1:batchEmbedContents"
    assert ("x-goog-api-key", "secret") in request.headers
    assert body["requests"][1] == {
        "model": "models/vectors-1", "outputDimensionality": 2, "taskType": "RETRIEVAL_DOCUMENT",
        "content": {"parts": [{"text": "b"}]},
    }  # fmt: skip
    answer = {"embeddings": [{"values": [1]}, {"values": [2]}]}
    assert exchange_for("embeddings", "gemini").parse_answer(orjson.dumps(answer)) == Embeddings([[1], [2]])


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("mistral", [1, 2]),
        ("cohere", [1, 2]),
        ("gemini", [1, 2]),
        ("openai_chat", [{"content": [PICTURE]}]),
        ("gemini", [{"content": [PICTURE]}]),
        ("cohere", ["a"] * 97),
        ("gemini", ["a"] * 101),
    ],
)
def test_what_a_dialect_cannot_say_is_left_to_another_endpoint(kind: str, given: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        sent(kind, input=given)
    assert caught.value.retryable


def test_vectors_are_put_in_order_of_their_numbers() -> None:
    rows = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    body = orjson.dumps({"data": rows, "usage": {"total_tokens": 9}})
    assert exchange_for("embeddings", "openai_chat").parse_answer(body) == Embeddings([[1], [2]], 9)


@pytest.mark.parametrize("kind", EXCHANGES["embeddings"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data": [{"index": 0, "embedding": ["1"]}], "embeddings": [{"values": ["1"]}]}',
        b'{"data": [{"index": 5, "embedding": [1]}], "embeddings": {"float": [7]}}',
    ],
)
def test_nonsense_is_malformed_or_no_answer(kind: str, body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        EMBEDDINGS.check(read(), exchange_for("embeddings", kind).parse_answer(body))
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize(
    "vectors", [[], [[1.0], [1.0]], [[]], [[1.0, 2.0]]], ids=["none", "too many", "empty", "too long"]
)
def test_an_answer_that_was_not_asked_for_is_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(UpstreamError):
        EMBEDDINGS.check(read(dimensions=1), Embeddings(vectors))


def test_a_byte_is_a_token_at_most_and_each_input_must_fit_by_itself() -> None:
    need = EMBEDDINGS.need(read(input=["a" * 400, [1] * 50, "ä"]))
    assert (need.input_bound, need.input_estimate, need.max_tokens) == (452, 100, 0)
    used = EMBEDDINGS.used(read(input="a" * 401), Embeddings([[1.0]]))
    assert used.usage == Usage(101, source="counted")
    assert EMBEDDINGS.used(read(), Embeddings([[1.0]], 7)).usage == Usage(7)


def test_images_are_counted() -> None:
    need = EMBEDDINGS.need(read(input=[{"content": [PICTURE]}]))
    assert (need.inputs, need.outputs, need.units) == (frozenset({"image"}), frozenset({"embeddings"}), {"image": 1})
