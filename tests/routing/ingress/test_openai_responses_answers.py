"""Answers in the Responses dialect: the official types accept them, and items can be sent back as they came."""

import json
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from marketplace.lib import sse
from routing.canonical import Chunk, Reasoning, Text, ToolCall, ToolDelta, Usage
from routing.ingress import openai_responses
from routing.ingress.openai_chat_answers import Bill
from routing.ingress.openai_responses_answers import Writer

BILL = Bill(Usage(21, 7, cached_tokens=3, reasoning_tokens=2), 1_050_001, 1_000_001, 50_000)
ONE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SIGNED = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1"}
SEALED = {"type": "reasoning.encrypted", "data": "xyz", "format": "google-gemini-v1", "id": "c1"}


def writer(**fields: Any) -> Writer:
    echo = openai_responses.parse(b'{"model": "acme/small", "input": "Hello"}').echo
    return Writer("gen-1-x", 1_790_000_000, "acme/small", "Acme", echo=echo, **fields)


def events(data: bytes) -> list[dict[str, Any]]:
    """The stream's events, each named as its type, numbered without a gap, and as the official types have them."""
    found = []
    for event in sse.Parser().feed(data):
        one = json.loads(event.data)
        assert event.event == one["type"]
        ONE_EVENT.validate_python(one)
        found.append(one)
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


def streamed(*chunks: Chunk, **fields: Any) -> list[dict[str, Any]]:
    out = writer(**fields)
    return events(b"".join(map(out.chunk, chunks)) + out.last(BILL))


def test_a_plain_answer_is_a_response() -> None:
    chunk = Chunk(
        text="Hi", reasoning="Hm.", tool_calls=(ToolDelta(0, "c1", "look", "{}"),), finish_reason="tool_calls"
    )
    body = writer().answer(chunk, BILL)
    response = Response.model_validate_json(body)
    assert response.output_text == "Hi"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert (response.id, response.model, response.status) == ("gen-1-x", "acme/small", "completed")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (21, 28)
    assert b'"cost":0.001050001,' in body


def test_an_answer_that_was_cut_short_says_why() -> None:
    data = json.loads(writer().answer(Chunk(text="Hi", finish_reason="length"), BILL))
    assert (data["status"], data["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert data["output"][0]["status"] == "incomplete"
    assert streamed(Chunk(text="Hi"), Chunk(finish_reason="length"))[-1]["type"] == "response.incomplete"


def test_the_sequence_of_a_text() -> None:
    kinds = [event["type"] for event in streamed(Chunk(text="Hi"), Chunk(text=" there."), Chunk(finish_reason="stop"))]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_the_stream_and_the_plain_answer_have_the_same_output() -> None:
    pieces = [
        Chunk(reasoning="Hm", reasoning_details=(SIGNED | {"text": "Hm", "signature": None},)),
        Chunk(reasoning=".", reasoning_details=(SIGNED | {"text": "."},)),
        Chunk(reasoning_details=(SEALED,)),
        Chunk(text="I "),
        Chunk(text="look."),
        Chunk(tool_calls=(ToolDelta(0, "c1", "look", ""), ToolDelta(1, "c2", "look", '{"a"'))),
        Chunk(tool_calls=(ToolDelta(1, None, None, ":1}"), ToolDelta(0, None, None, "{}"))),
        Chunk(finish_reason="tool_calls"),
    ]
    whole = Chunk(
        text="I look.",
        reasoning="Hm.",
        reasoning_details=(SIGNED, SEALED),
        tool_calls=(ToolDelta(0, "c1", "look", "{}"), ToolDelta(1, "c2", "look", '{"a":1}')),
        finish_reason="tool_calls",
    )
    last = streamed(*pieces)[-1]["response"]
    assert last == json.loads(writer().answer(whole, BILL))
    assert [item["type"] for item in last["output"]] == ["reasoning", "reasoning", "message", *["function_call"] * 2]


def test_what_was_answered_can_be_sent_back_untouched() -> None:
    chunk = Chunk(
        text="I look.",
        reasoning_details=(SIGNED, SEALED),
        tool_calls=(ToolDelta(0, "c1", "look", "{}"),),
    )
    output = json.loads(writer().answer(chunk, BILL))["output"]
    body = {"model": "m", "input": [*output, {"type": "function_call_output", "call_id": "c1", "output": "a tree"}]}
    turn = openai_responses.parse(json.dumps(body).encode()).request.messages[0]
    assert turn.parts == (
        Reasoning("Hm.", (SIGNED,)),
        Reasoning("", (SEALED,)),
        Text("I look."),
        ToolCall("c1", "look", "{}"),
    )


def test_thoughts_that_are_left_out_keep_what_must_be_echoed() -> None:
    out = writer(exclude_reasoning=True)
    data = json.loads(out.answer(Chunk(text="Hi", reasoning="Hm.", reasoning_details=(SIGNED, SEALED)), BILL))
    assert "Hm." not in json.dumps(data)
    assert [item.get("signature") or item.get("encrypted_content") for item in data["output"][:2]] == ["sig", "xyz"]


def test_a_refusal_and_a_picture() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    found = streamed(Chunk(refusal="No."), Chunk(extra={"images": [image]}))
    output = found[-1]["response"]["output"]
    assert output[0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert (output[1]["type"], output[1]["result"]) == ("image_generation_call", "AAAA")


def test_citations_become_annotations() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.example.test", "title": "A"}}
    found = streamed(Chunk(text="See A"), Chunk(extra={"annotations": [cited]}))
    part = found[-1]["response"]["output"][0]["content"][0]
    assert part["annotations"][0]["url"] == "https://a.example.test"
    assert "response.output_text.annotation.added" in {event["type"] for event in found}


def test_calls_that_are_all_numbered_nought_stay_apart() -> None:
    calls = [Chunk(tool_calls=(ToolDelta(0, f"c{n}", "look", "{}"),)) for n in range(3)]
    output = streamed(*calls)[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [(f"c{n}", "{}") for n in range(3)]


def test_a_stream_that_breaks_ends_as_failed_and_with_what_it_cost() -> None:
    out = writer()
    data = out.chunk(Chunk(text="Hi")) + out.broken(
        code=502, message="It broke.", metadata={"error_type": "provider_unavailable"}, bill=BILL
    )
    *_, last = events(data)
    assert last["type"] == "response.failed"
    response = last["response"]
    assert (response["status"], response["error"]["code"], response["error_type"]) == (
        "failed",
        "server_error",
        "provider_unavailable",
    )
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["total_tokens"] == 28
