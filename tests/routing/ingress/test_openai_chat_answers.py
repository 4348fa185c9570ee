"""Answers in the OpenAI chat dialect: our id and model, the cost to the last digit, usage exactly once."""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from marketplace.lib import sse
from routing.canonical import Chunk, ToolDelta, Usage
from routing.ingress.openai_chat_answers import Bill, Writer

BILL = Bill(Usage(21, 7, cached_tokens=3, reasoning_tokens=2), 1_050_001, 1_000_001, 50_000)


def writer() -> Writer:
    return Writer(id="gen-1-x", created=1_790_000_000, model="acme/small", provider="Acme")


def events(data: bytes) -> list[Any]:
    parser = sse.Parser()
    return [event.data if event.data == "[DONE]" else json.loads(event.data) for event in parser.feed(data)]


def test_a_plain_answer_is_a_chat_completion() -> None:
    chunk = Chunk(text="Hi", reasoning="Hm.", finish_reason="stop", native_finish_reason="eos")
    body = writer().answer(chunk, BILL)
    answer = ChatCompletion.model_validate_json(body)
    assert answer.choices[0].message.content == "Hi"
    data = json.loads(body)
    assert (data["id"], data["model"], data["provider"]) == ("gen-1-x", "acme/small", "Acme")
    assert data["choices"][0]["native_finish_reason"] == "eos"
    assert data["choices"][0]["message"]["reasoning"] == "Hm."
    assert data["usage"]["total_tokens"] == 28
    assert b'"cost":0.001050001,' in body


def test_a_tool_call_has_no_content() -> None:
    chunk = Chunk(tool_calls=(ToolDelta(0, "c1", "f", "{}"),), finish_reason="tool_calls")
    message = ChatCompletion.model_validate_json(writer().answer(chunk, BILL)).choices[0].message
    assert message.content is None
    assert message.tool_calls is not None
    assert message.tool_calls[0].id == "c1"


def test_a_stream_has_its_usage_once_and_last() -> None:
    out = writer()
    data = b"".join(
        [
            out.chunk(Chunk()),
            out.chunk(Chunk(text="Hi")),
            out.chunk(Chunk(tool_calls=(ToolDelta(0, "c1", "f", ""),))),
            out.chunk(Chunk(tool_calls=(ToolDelta(0, None, None, "{}"),))),
            out.chunk(Chunk(finish_reason="stop", native_finish_reason="stop")),
            out.chunk(Chunk(usage=Usage(1, 1))),
            out.last(BILL),
        ]
    )
    *chunks, end = events(data)
    assert end == "[DONE]"
    assert [ChatCompletionChunk.model_validate(chunk).id for chunk in chunks] == ["gen-1-x"] * 5
    assert ["usage" in chunk for chunk in chunks] == [False, False, False, False, True]
    assert chunks[-1]["choices"] == []
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Hi"}
    assert "role" not in chunks[1]["choices"][0]["delta"]
    assert chunks[2]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "{}"}}]


def test_a_broken_stream_ends_in_one_error_event_and_no_mark_of_a_clean_end() -> None:
    data = writer().broken(code=502, message="cut", metadata={"error_type": "provider_unavailable"}, bill=BILL)
    (event,) = events(data)
    assert event["error"] == {"code": 502, "message": "cut", "metadata": {"error_type": "provider_unavailable"}}
    assert event["choices"][0]["finish_reason"] == "error"
    assert event["usage"]["completion_tokens"] == 7


def test_thoughts_are_left_out_when_the_caller_said_so() -> None:
    out = writer()
    out.exclude_reasoning = True
    assert out.chunk(Chunk(reasoning="Hm.")) == b""
    assert "reasoning" not in json.loads(out.answer(Chunk(reasoning="Hm.", text="x"), BILL))["choices"][0]["message"]
