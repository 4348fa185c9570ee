"""Addresses of media in requests that are no chats: only those that anybody can open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.ingress import embeddings, images, rerank, videos


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


OPERATIONS: dict[str, tuple[Callable[[bytes], Any], Callable[[str], dict[str, Any]], str]] = {
    "images": (images.parse, lambda url: {"prompt": "a boat", "input_references": [part(url)]},
               "input_references[0].image_url.url"),
    "videos": (videos.parse, lambda url: {"prompt": "x", "frame_images": [part(url) | {"frame_type": "first_frame"}]},
               "frame_images[0].image_url.url"),
    "embeddings": (embeddings.parse, lambda url: {"input": [{"content": [part(url)]}]},
                   "input[0].content[0].image_url.url"),
    "rerank": (rerank.parse, lambda url: {"query": "boats", "documents": [{"image": url}]}, "documents[0].image"),
}  # fmt: skip
OPERATORS = [
    "s3://operators-bucket/secret.png", "gs://operators-bucket/secret.png", "file:///etc/passwd", "secret.png",
    "https://generativelanguage.googleapis.com/v1beta/files/abc", "HTTPS://GENERATIVELANGUAGE.googleapis.com./v1/f",
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("url", OPERATORS)
def test_an_address_that_opens_with_the_operators_rights_is_refused_by_the_name_of_its_field(
    operation: str, url: str
) -> None:
    parse, body, field = OPERATIONS[operation]
    with pytest.raises(InvalidRequest, match="anybody can open") as caught:
        parse(orjson.dumps({"model": "m"} | body(url)))
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("url", ["https://files.example.com/a.png", "data:image/png;base64,iVBORw0KGgo="])
def test_one_that_anybody_can_open_is_taken_as_it_came(operation: str, url: str) -> None:
    parse, body, _ = OPERATIONS[operation]
    assert url in repr(parse(orjson.dumps({"model": "m"} | body(url))))
