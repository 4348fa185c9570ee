"""OpenAI's Responses as a provider's dialect, beyond its golden files."""

import json
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError, Usage
from routing.ingress import openai_chat
from tests.routing.adapters.reading import joined, stream

RESPONSES = adapter_for("openai_responses")
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def body(**fields: Any) -> dict[str, Any]:
    request = openai_chat.parse(json.dumps(HELLO | fields).encode())
    target = Target("https://api.test/v1", "gpt", {})
    built = RESPONSES.build(request, target=target, stream=False, max_tokens=request.max_tokens)
    found: dict[str, Any] = json.loads(built.body)
    return found


def events(*data: dict[str, Any]) -> bytes:
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in data)


COMPLETED = {"type": "response.completed", "response": {"status": "completed", "usage": {}}}


def test_nothing_is_stored_at_the_provider_and_thoughts_travel_encrypted() -> None:
    assert body()["store"] is False
    assert "include" not in body()  # models that do not think refuse it
    thinking = body(reasoning={"effort": "max"})
    assert thinking["include"] == ["reasoning.encrypted_content"]
    assert thinking["reasoning"] == {"effort": "xhigh", "summary": "auto"}
    assert body(reasoning={"enabled": False})["reasoning"] == {"effort": "none"}


def test_what_the_chat_dialect_says_elsewhere_finds_its_place() -> None:
    schema = {"name": "x", "schema": {"type": "object"}, "strict": True}
    written = body(
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": schema},
        verbosity="low",
        top_k=4,
    )
    assert written["tools"][0]["strict"] is False  # its default is strict, the caller's was not
    assert written["tool_choice"] == {"type": "function", "name": "look"}
    assert written["text"] == {"format": {"type": "json_schema", **schema}, "verbosity": "low"}
    assert "top_k" not in written


def test_a_conversation_becomes_items_in_order() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    detail = {"format": "openai-responses-v1", "index": 0}
    details = [
        detail | {"type": "reasoning.summary", "summary": "Two "},
        detail | {"type": "reasoning.summary", "summary": "and two."},
        detail | {"type": "reasoning.encrypted", "data": "blob", "id": "rs_1"},
        {"type": "reasoning.text", "text": "Another maker's", "format": "anthropic-claude-v1", "index": 0},
    ]
    picture = {"type": "image_url", "image_url": {"url": "https://files.example.test/a.png"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        *HELLO["messages"],
        {"role": "assistant", "content": "Looking.", "tool_calls": [call], "reasoning_details": details},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "See:"}, picture]},
    ]
    written = body(messages=messages)
    assert written["instructions"] == "Be brief."
    summary = [{"type": "summary_text", "text": "Two and two."}]
    shown = {"type": "input_image", "image_url": "https://files.example.test/a.png", "detail": "auto"}
    assert written["input"] == [
        {"role": "user", "content": "Hello"},
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "blob"},
        {"role": "assistant", "content": "Looking."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "See:"}, shown]},
    ]


def test_sound_and_films_are_for_another_endpoint() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    with pytest.raises(UpstreamError) as caught:
        body(messages=[{"role": "user", "content": [sound]}])
    assert (caught.value.kind, caught.value.retryable) == ("invalid", True)


def test_thoughts_refusals_and_whole_arguments_in_a_stream() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "look"}
    answer = events(
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Two"},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "Four"},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "reasoning", "id": "rs_1", "encrypted_content": "blob"},
        },
        {"type": "response.refusal.delta", "output_index": 1, "delta": "I will not."},
        {"type": "response.output_item.added", "output_index": 2, "item": call | {"arguments": ""}},
        {"type": "response.output_item.done", "output_index": 2, "item": call | {"arguments": '{"a":1}'}},
        COMPLETED,
    )
    got = joined(stream("openai_responses", answer))
    assert (got["reasoning"], got["refusal"]) == ("Two\n\nFour", "I will not.")
    assert got["details"][-1]["id"] == "rs_1"
    assert got["tool_calls"] == [{"id": "c1", "name": "look", "arguments": {"a": 1}}]
    assert got["finish_reason"] == "tool_calls"


def test_what_was_filtered_says_so_and_usage_is_a_subset() -> None:
    usage = {
        "input_tokens": 9,
        "output_tokens": 8,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 6},
    }
    ended = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "usage": usage}
    got = joined(stream("openai_responses", events({"type": "response.incomplete", "response": ended})))
    assert (got["finish_reason"], got["native_finish_reason"]) == ("content_filter", "content_filter")
    assert got["usage"] == Usage(9, 8, cached_tokens=5, reasoning_tokens=6)


def test_an_error_event_is_understood_and_nonsense_is_malformed() -> None:
    limited = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}
    with pytest.raises(UpstreamError, match="Slow down") as caught:
        stream("openai_responses", events(limited))
    assert (caught.value.kind, caught.value.retryable) == ("rate_limited", True)
    for data in (b'data: {"choices": []}\n\n', b"data: {\n\n", b"data: []\n\n"):
        with pytest.raises(UpstreamError) as caught:
            stream("openai_responses", data)
        assert caught.value.kind == "malformed"
    for answer in (b"{}", b"<html>", b'{"output": []}'):
        with pytest.raises(UpstreamError) as caught:
            RESPONSES.parse_answer(answer)
        assert caught.value.kind == "malformed"
