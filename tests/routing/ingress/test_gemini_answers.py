"""Answers in Google's dialect: whole, as events and as an array, and sent back as they came."""

import json
from typing import Any

import pytest

from marketplace.lib import sse
from routing.canonical import Chunk, Reasoning, Text, ToolCall, ToolDelta, Usage
from routing.ingress import gemini
from routing.ingress.gemini_answers import Writer
from routing.ingress.openai_chat_answers import Bill

BILL = Bill(Usage(21, 7, cached_tokens=3, reasoning_tokens=2), 1_050_001, 1_000_001, 50_000)
SIGNED = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1"}
OF_THE_CALL = {"type": "reasoning.encrypted", "data": "c2ln", "format": "google-gemini-v1", "id": "c1"}
OF_THE_WORDS = {"type": "reasoning.encrypted", "data": "d29y", "format": "google-gemini-v1"}


def writer(**fields: Any) -> Writer:
    return Writer("gen-1-x", "acme/small", "Acme", **fields)


def parts_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    return data["candidates"][0]["content"]["parts"]


def test_a_plain_answer() -> None:
    chunk = Chunk(text="Hi", reasoning="Hm.", tool_calls=(ToolDelta(0, "c1", "look", '{"n":1}'),), finish_reason="stop")
    body = writer(show_thoughts=True).answer(chunk, BILL)
    data = json.loads(body)
    assert parts_of(data) == [
        {"text": "Hm.", "thought": True},
        {"text": "Hi"},
        {"functionCall": {"name": "look", "args": {"n": 1}, "id": "c1"}},
    ]
    assert (data["responseId"], data["modelVersion"], data["provider"]) == ("gen-1-x", "acme/small", "Acme")
    usage = data["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (21, 5, 2)
    assert usage["totalTokenCount"] == 28
    assert b'"cost":0.001050001' in body
    assert "Hm." not in writer().answer(chunk, BILL).decode()


@pytest.mark.parametrize(
    ("reason", "native", "written"),
    [
        ("stop", "eos", "STOP"),
        ("tool_calls", None, "STOP"),
        ("length", None, "MAX_TOKENS"),
        ("content_filter", "PROHIBITED_CONTENT", "PROHIBITED_CONTENT"),
        ("content_filter", "refusal", "SAFETY"),
    ],
)
def test_why_it_ended(reason: Any, native: str | None, written: str) -> None:
    chunk = Chunk(text="Hi", finish_reason=reason, native_finish_reason=native)
    assert json.loads(writer().answer(chunk, BILL))["candidates"][0]["finishReason"] == written


PIECES = [
    Chunk(reasoning="Hm.", reasoning_details=(SIGNED,)),
    Chunk(text="I "),
    Chunk(text="look."),
    Chunk(reasoning_details=(OF_THE_CALL,)),
    Chunk(tool_calls=(ToolDelta(0, "c1", "look", '{"n"'), ToolDelta(1, "c2", "listen", ""))),
    Chunk(tool_calls=(ToolDelta(0, None, None, ":1}"),)),
    Chunk(finish_reason="tool_calls"),
]


@pytest.mark.parametrize("as_array", [False, True])
def test_a_stream_has_its_calls_whole_and_its_usage_once(as_array: bool) -> None:
    out = writer(as_array=as_array)
    data = b"".join([*(out.chunk(piece) for piece in PIECES), out.waiting(), out.last(BILL)])
    found = json.loads(data) if as_array else [json.loads(event.data) for event in sse.Parser().feed(data)]
    assert "".join(part.get("text", "") for item in found for part in parts_of(item)) == "I look."
    assert parts_of(found[-1]) == [
        {"functionCall": {"name": "look", "args": {"n": 1}, "id": "c1"}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "listen", "args": {}, "id": "c2"}},
    ]
    assert ["usageMetadata" in item for item in found] == [False] * (len(found) - 1) + [True]
    assert [item["candidates"][0].get("finishReason") for item in found] == [None] * (len(found) - 1) + ["STOP"]


@pytest.mark.parametrize("as_array", [False, True])
def test_a_stream_that_breaks_never_says_why_it_ended(as_array: bool) -> None:
    out = writer(as_array=as_array)
    metadata = {"error_type": "timeout"}
    data = out.chunk(Chunk(text="Hi")) + out.broken(code=502, message="It broke.", metadata=metadata, bill=BILL)
    found = json.loads(data) if as_array else [json.loads(event.data) for event in sse.Parser().feed(data)]
    assert b"finishReason" not in data
    assert (found[-1]["error"]["code"], found[-1]["error"]["status"]) == (504, "DEADLINE_EXCEEDED")


def test_what_was_answered_can_be_sent_back_untouched() -> None:
    chunk = Chunk(
        text="I look.",
        reasoning_details=(SIGNED, OF_THE_WORDS, OF_THE_CALL),
        tool_calls=(ToolDelta(0, "c1", "look", "{}"),),
    )
    content = json.loads(writer(show_thoughts=True).answer(chunk, BILL))["candidates"][0]["content"]
    request = gemini.parse(json.dumps({"contents": [content]}).encode(), model="m", stream=False)
    assert request.messages[0].parts == (
        Reasoning("Hm.", (SIGNED,)),
        Reasoning("", (OF_THE_WORDS,)),
        Text("I look."),
        Reasoning("", (OF_THE_CALL,)),
        ToolCall("c1", "look", "{}"),
    )


def test_pictures_and_logprobs() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}}
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}]}
    data = json.loads(writer().answer(Chunk(text="a", extra={"images": [image]}, logprobs=logprobs), BILL))
    assert parts_of(data)[1] == {"inlineData": {"mimeType": "image/webp", "data": "AAAA"}}
    found = data["candidates"][0]["logprobsResult"]
    assert found["chosenCandidates"] == [{"token": "a", "logProbability": -0.5}]
    assert found["topCandidates"] == [{"candidates": [{"token": "b", "logProbability": -1}]}]
