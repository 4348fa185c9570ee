"""Cohere's chat read into canonical requests, and canonical answers written as its messages and events."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import sse
from marketplace.lib.errors import InvalidRequest
from routing.canonical import ChatRequest, Chunk, Reasoning, ReasoningWish, Text, ToolDelta, Usage
from routing.ingress import cohere
from routing.ingress.cohere_answers import Writer
from routing.ingress.openai_chat_answers import Bill

ASK = {"role": "user", "content": "Which?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
BILL = Bill(Usage(7, 3, cached_tokens=2), 1_500, 1_000, 500)


def parse(**body: Any) -> ChatRequest:
    return cohere.parse(json.dumps({"model": "acme/small", "messages": [ASK]} | body).encode())


def events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.Parser().feed(data) if event.data != "[DONE]"]


def test_its_names_of_parameters_are_ours() -> None:
    asked = parse(p=0.5, k=7, stop_sequences=["."], seed=3, temperature=0.2, max_tokens=9)
    assert asked.parameters == {"top_p": 0.5, "top_k": 7, "stop": ["."], "seed": 3, "temperature": 0.2}
    assert asked.max_tokens == 9


def test_what_only_cohere_itself_can_do_is_left_aside() -> None:
    asked = parse(citation_options={"mode": "FAST"}, safety_mode="OFF", priority=1, logprobs=True, novel=1)
    assert (asked.parameters, asked.unknown) == ({}, {"novel": 1})


def test_tools_may_be_required_forbidden_and_strict() -> None:
    assert parse(tools=[TOOL], tool_choice="REQUIRED").tool_choice == "required"
    assert parse(tools=[TOOL], tool_choice="NONE").tool_choice == "none"
    assert [tool.strict for tool in parse(tools=[TOOL], strict_tools=True).tools] == [True]


def test_a_schema_makes_structured_output_and_none_makes_any_json() -> None:
    schema = {"type": "object"}
    asked = parse(response_format={"type": "json_object", "json_schema": schema}).response_format
    assert asked == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert parse(response_format={"type": "json_object"}).response_format == {"type": "json_object"}


def test_thinking_has_a_budget_or_is_off() -> None:
    on = parse(thinking={"type": "enabled", "token_budget": 500}).reasoning
    off = parse(thinking={"type": "disabled"}).reasoning
    assert on == ReasoningWish(enabled=True, max_tokens=500)
    assert off == ReasoningWish(enabled=False)


def test_a_plan_and_thoughts_are_the_turns_reasoning() -> None:
    content = [{"type": "thinking", "thinking": "Then hm."}, {"type": "text", "text": "Yes"}]
    turn = {"role": "assistant", "content": content, "tool_plan": "First I look. "}
    assert parse(messages=[ASK, turn, ASK]).messages[1].parts == (Reasoning("First I look. Then hm."), Text("Yes"))


def test_documents_stand_before_the_last_question() -> None:
    documents = ["Oslo is cold.", {"id": "d1", "data": {"title": "Rome"}}, {"data": "Bern is small."}]
    [first, last] = parse(messages=[ASK, ASK], documents=documents).messages
    head = 'Documents:\nOslo is cold.\n{"id":"d1","title":"Rome"}\nBern is small.'
    assert (first.parts, last.parts) == ((Text("Which?"),), (Text(head), Text("Which?")))


def test_a_tools_documents_are_its_words() -> None:
    document = {"type": "document", "document": {"data": {"temperature": 4}}}
    result = {"role": "tool", "tool_call_id": "c1", "content": [document]}
    [part] = parse(messages=[ASK, result]).messages[1].parts
    assert getattr(part, "parts", None) == (Text('{"temperature":4}'),)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "messages[0].content[0].type"),
    ({"p": 2}, "p"),
    ({"k": -1}, "k"),
    ({"stop_sequences": "."}, "stop_sequences"),
    ({"tool_choice": "look"}, "tool_choice"),
    ({"tools": [{}], "strict_tools": True}, "tools[0]"),
    ({"strict_tools": "yes"}, "strict_tools"),
    ({"documents": "all"}, "documents"),
    ({"documents": [7]}, "documents[0]"),
    ({"documents": ["x"], "messages": [{"role": "system", "content": "x"}]}, "documents"),
    ({"response_format": {"type": "json_object", "json_schema": 1}}, "response_format.json_schema"),
    ({"thinking": {"type": "much"}}, "thinking.type"),
    ({"thinking": {"type": "enabled", "token_budget": 0}}, "thinking.token_budget"),
]


@pytest.mark.parametrize(("body", "where"), BAD)
def test_a_malformed_field_is_named(body: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    assert caught.value.metadata["field"] == where


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(cohere.OWN)), JSON))
def test_any_json_is_read_or_refused_and_never_breaks(body: dict[str, Any]) -> None:
    with suppress(InvalidRequest):
        assert cohere.parse(orjson.dumps({"model": "acme/small", **body})).messages


def test_a_stream_opens_and_closes_what_it_holds_in_order() -> None:
    out = Writer("gen-1-x", "acme/small", "Acme")
    pieces = [
        Chunk(reasoning="Hm."),
        Chunk(text="I look."),
        # Two calls whose pieces come mixed go out one after the other.
        Chunk(tool_calls=(ToolDelta(0, "c0", "look", ""), ToolDelta(1, "c1", "look", '{"a"'))),
        Chunk(tool_calls=(ToolDelta(0, None, None, "{}"), ToolDelta(1, None, None, ":1}"))),
        Chunk(finish_reason="tool_calls"),
    ]
    told = events(b"".join([*map(out.chunk, pieces), out.last(BILL)]))
    assert [(event["type"], event.get("index")) for event in told] == [
        ("message-start", None),
        ("content-start", 0), ("content-delta", 0), ("content-end", 0),
        ("content-start", 1), ("content-delta", 1), ("content-end", 1),
        ("tool-call-start", 0), ("tool-call-delta", 0), ("tool-call-end", 0),
        ("tool-call-start", 1), ("tool-call-delta", 1), ("tool-call-delta", 1), ("tool-call-end", 1),
        ("message-end", None),
    ]  # fmt: skip
    end = told[-1]["delta"]
    assert end["finish_reason"] == "TOOL_CALL"
    assert end["usage"]["billed_units"] == {"input_tokens": 7, "output_tokens": 3}
    assert (end["usage"]["cached_tokens"], end["usage"]["cost"]) == (2, 0.0000015)


@pytest.mark.parametrize(
    ("chunk", "word"),
    [
        (Chunk(text="x", finish_reason="stop"), "COMPLETE"),
        (Chunk(text="x", finish_reason="stop", native_finish_reason="stop_sequence"), "STOP_SEQUENCE"),
        (Chunk(text="x", finish_reason="length"), "MAX_TOKENS"),
        (Chunk(tool_calls=(ToolDelta(0, "c0", "look", "{}"),), finish_reason="stop"), "TOOL_CALL"),
        (Chunk(refusal="No.", finish_reason="content_filter"), "ERROR_TOXIC"),
    ],
)
def test_an_end_is_said_in_its_own_word(chunk: Chunk, word: str) -> None:
    assert json.loads(Writer("gen-1-x", "acme/small").answer(chunk, BILL))["finish_reason"] == word


def test_thoughts_are_left_out_where_they_are_not_wanted() -> None:
    out = Writer("gen-1-x", "acme/small", exclude_reasoning=True)
    content = json.loads(out.answer(Chunk(text="Yes", reasoning="Hm."), BILL))["message"]["content"]
    assert content == [{"type": "text", "text": "Yes"}]
