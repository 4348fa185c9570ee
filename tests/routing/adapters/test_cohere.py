"""Cohere's and DashScope's dialects, beyond their golden files."""

import base64
import json
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from tests.routing.adapters.reading import joined, stream

COHERE, DASHSCOPE = adapter_for("cohere"), adapter_for("dashscope_native")
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
OTHER = {"type": "function", "function": {"name": "other"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://files.example.test/a.png"}}


def built(kind: str, upstream: str = "command-a", **fields: Any) -> Any:
    request = openai_chat.parse(json.dumps(HELLO | fields).encode())
    target = Target("https://api.test", upstream, {})
    return adapter_for(kind).build(request, target=target, stream=False, max_tokens=request.max_tokens)


def body(kind: str, upstream: str = "command-a", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(built(kind, upstream, **fields).body)
    return found


def test_cohere_has_its_own_words_and_bounds() -> None:
    asked: dict[str, Any] = {
        "top_p": 0.5,
        "top_k": 900,
        "temperature": 2,
        "stop": ["a"],
        "presence_penalty": -1,
        "logit_bias": {},
    }
    written = body("cohere", **asked)
    del written["model"], written["messages"]
    bounded = {"p": 0.5, "k": 500, "temperature": 1, "stop_sequences": ["a"], "presence_penalty": 0}
    assert written == bounded
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    wanted = {"type": "json_object", "json_schema": {"type": "object"}}
    assert body("cohere", response_format=schema)["response_format"] == wanted


def test_cohere_is_made_to_call_one_tool_by_being_offered_no_other() -> None:
    named = body("cohere", tools=[OTHER, TOOL], tool_choice={"type": "function", "function": {"name": "look"}})
    assert ([tool["function"]["name"] for tool in named["tools"]], named["tool_choice"]) == (["look"], "REQUIRED")
    assert body("cohere", tools=[TOOL], tool_choice="none")["tool_choice"] == "NONE"
    assert "tool_choice" not in body("cohere", tools=[TOOL], tool_choice="auto")


def test_coheres_plan_goes_back_to_its_place() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    turn = {"role": "assistant", "content": None, "reasoning": "I will look.", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    messages = body("cohere", messages=[*HELLO["messages"], turn, result])["messages"]
    assert messages[1]["tool_plan"] == "I will look."
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert messages[2] == result


def test_cohere_reads_text_files_as_documents_and_no_others() -> None:
    text = {"filename": "a.txt", "file_data": base64.b64encode("Grüße".encode()).decode()}
    parts = [{"type": "text", "text": "?"}, {"type": "file", "file": text}]
    written = body("cohere", messages=[{"role": "user", "content": parts}])
    assert written["documents"] == [{"id": "doc-0", "data": {"text": "Grüße", "title": "a.txt"}}]
    assert written["messages"] == [{"role": "user", "content": "?"}]
    for odd in ({"filename": "a.pdf", "file_data": "JVBE"}, {"file_id": "file-1"}):
        with pytest.raises(UpstreamError) as caught:
            body("cohere", messages=[{"role": "user", "content": [{"type": "file", "file": odd}]}])
        assert (caught.value.kind, caught.value.retryable) == ("invalid", True)


def test_cohere_thinks_where_the_model_can() -> None:
    thinking: dict[str, Any] = {"reasoning": {"effort": "low"}, "max_tokens": 1_000}
    assert body("cohere", "command-a-reasoning", **thinking)["thinking"] == {"type": "enabled", "token_budget": 200}
    assert body("cohere", "command-a-reasoning", reasoning={"effort": "none"})["thinking"] == {"type": "disabled"}
    assert "thinking" not in body("cohere", **thinking)
    answer = {"message": {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "4"}]}}
    got = joined([COHERE.parse_answer(json.dumps(answer).encode())])
    assert (got["reasoning"], got["text"]) == ("Hm.", "4")


@pytest.mark.parametrize(
    ("status", "message", "kind", "retryable"),
    [
        (400, "too many tokens: size limit exceeded by 9 tokens", "context_length", False),
        (400, "invalid request: message must be at least 1 token long", "invalid", False),
        (401, "invalid api token", "auth", True),
        (498, "invalid token", "auth", True),
        (429, "trial key", "rate_limited", True),
        (500, "internal", "unavailable", True),
    ],
)
def test_coheres_refusals_are_understood(status: int, message: str, kind: str, retryable: bool) -> None:
    error = COHERE.error(status=status, headers={}, body=json.dumps({"id": "x", "message": message}).encode())
    assert (error.kind, error.retryable, error.message, error.status) == (kind, retryable, message, status)


def test_coheres_failure_in_a_stream_is_an_error_and_a_call_without_arguments_an_empty_object() -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "Out of machines"}}
    with pytest.raises(UpstreamError, match="Out of machines") as caught:
        stream("cohere", b"data: " + json.dumps(end).encode() + b"\n\n")
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    events = [
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    ]
    answer = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
    assert joined(stream("cohere", answer))["tool_calls"] == [{"id": "c1", "name": "look", "arguments": {}}]


@pytest.mark.parametrize("kind", ["cohere", "dashscope_native"])
@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"message": {}}', b'{"output": {"choices": []}}'])
def test_what_is_no_answer_is_malformed(kind: str, data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        adapter_for(kind).parse_answer(data)
    assert (caught.value.kind, caught.value.retryable) == ("malformed", True)


def test_dashscope_has_a_path_for_media_and_one_for_words() -> None:
    words = built("dashscope_native", "qwen-plus")
    sees = built("dashscope_native", "qwen3-vl-plus")
    assert words.url.endswith("/services/aigc/text-generation/generation")
    assert sees.url.endswith("/services/aigc/multimodal-generation/generation")
    assert json.loads(sees.body)["input"]["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    film = {"type": "video", "video": ["https://files.example.test/1.png"], "fps": 2}
    media = body(
        "dashscope_native", "qwen-plus", messages=[{"role": "user", "content": [PICTURE, sound, film]}], top_k=3
    )
    assert media["parameters"] == {"result_format": "message", "top_k": 3}
    assert media["input"]["messages"][0]["content"] == [
        {"image": "https://files.example.test/a.png"},
        {"audio": "data:audio/mp3;base64,AAAA"},
        {"video": ["https://files.example.test/1.png"], "fps": 2},
    ]


def test_dashscope_thinks_when_told_and_calls_what_it_is_given() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    written = body(
        "dashscope_native",
        messages=[*HELLO["messages"], turn, result],
        tools=[TOOL],
        tool_choice="required",
        reasoning={"effort": "medium"},
        max_tokens=100,
    )
    assert written["input"]["messages"][1:] == [turn | {"content": ""}, result]
    parameters = written["parameters"]
    assert (parameters["tool_choice"], parameters["enable_thinking"], parameters["thinking_budget"]) == (
        "auto", True, 50,
    )  # fmt: skip
    assert body("dashscope_native", reasoning={"enabled": False})["parameters"]["enable_thinking"] is False


@pytest.mark.parametrize(
    ("code", "status", "kind", "retryable"),
    [
        ("Throttling.RateQuota", 429, "rate_limited", True),
        ("InvalidApiKey", 401, "auth", True),
        ("Arrearage", 400, "credit", True),
        ("InvalidParameter", 400, "invalid", False),
        ("SomethingNew", 500, "unavailable", True),
    ],
)
def test_dashscopes_refusals_are_understood(code: str, status: int, kind: str, retryable: bool) -> None:
    answer = json.dumps({"code": code, "message": "No.", "request_id": "r"}).encode()
    error = DASHSCOPE.error(status=status, headers={}, body=answer)
    assert (error.kind, error.retryable, error.provider_code, error.message) == (kind, retryable, code, "No.")
    with pytest.raises(UpstreamError) as caught:
        stream("dashscope_native", b"data:" + answer + b"\n\n")
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
