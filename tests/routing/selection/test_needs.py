"""What is read off a request: its bound and estimate in tokens, its kinds of content, its parameters."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from routing.ingress import openai_chat
from routing.selection.candidates import Need
from routing.selection.needs import IMAGE_TOKENS, PDF_TOKENS, UNSEEN_FILE_TOKENS, VIDEO_TOKENS, need_of


def need(content: Any = "Hello", **fields: Any) -> Need:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": content}]} | fields
    return need_of(openai_chat.parse(orjson.dumps(body)))


def test_words_are_bound_by_their_bytes_and_estimated_at_a_quarter() -> None:
    short, long = need("x"), need("x" * 4_001)
    assert long.input_bound - short.input_bound == 4_000
    assert long.input_estimate - short.input_estimate == 1_000
    assert long.inputs == frozenset({"text"})


PICTURE = "data:image/png;base64," + "A" * 1_000_000


@pytest.mark.parametrize(
    ("part", "kind", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": PICTURE}}, "image", IMAGE_TOKENS),
        ({"type": "image_url", "image_url": {"url": "https://a.example.test/x.png"}}, "image", IMAGE_TOKENS),
        ({"type": "video_url", "video_url": {"url": "https://a.example.test/x.mp4"}}, "video", VIDEO_TOKENS),
        ({"type": "input_audio", "input_audio": {"data": "A" * 64_000, "format": "wav"}}, "audio", 1_001),
        ({"type": "file", "file": {"file_data": "A" * 1_000_000}}, "file", UNSEEN_FILE_TOKENS),
    ],
)
def test_a_medium_is_bound_by_the_table_and_not_by_its_bytes(part: dict[str, Any], kind: str, tokens: int) -> None:
    found = need([part])
    assert found.inputs == {kind}
    assert tokens <= found.input_bound <= tokens + 300
    assert found.images == (kind == "image")


@pytest.mark.parametrize(
    ("given", "most", "likely"),
    [
        ({"file_data": "data:application/pdf;base64," + "A" * 8_000}, PDF_TOKENS, 1_000),
        ({"file_data": "data:application/pdf;base64," + "A" * 200_000}, 200_000, 25_000),
        ({"file_data": "data:text/plain;base64," + "A" * 8_000}, 8_000, 1_000),
        ({"file_data": "https://a.example.test/x.pdf"}, UNSEEN_FILE_TOKENS, 10_000),
    ],
)
def test_a_small_pdf_may_unfold_to_much_and_one_nobody_has_seen_to_more(
    given: dict[str, Any], most: int, likely: int
) -> None:
    found = need([{"type": "file", "file": {"filename": "x"} | given}])
    assert most <= found.input_bound <= most + 300
    assert likely <= found.input_estimate <= likely + 100


def test_media_in_a_tools_result_count_too() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example.test/x.png"}}
    found = need(messages=[{"role": "tool", "tool_call_id": "c", "content": [picture]}])
    assert found.inputs == {"image"}


def test_parameters_that_bear_on_the_choice() -> None:
    found = need(
        temperature=1,
        user="u",
        max_tokens=9,
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="auto",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        reasoning={"effort": "low"},
        modalities=["text", "image"],
    )
    assert found.parameters == {
        "temperature", "max_tokens", "tools", "tool_choice", "response_format", "structured_outputs", "reasoning",
    }  # fmt: skip
    assert found.outputs == {"text", "image"}
    assert found.max_tokens == 9
