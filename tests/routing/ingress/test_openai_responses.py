"""What callers write in the Responses dialect: read, or refused with a 400 that names the field."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib.errors import InvalidRequest
from routing.canonical import File, Image, Reasoning, Text, ToolCall, ToolResult
from routing.ingress import openai_responses

HELLO: dict[str, Any] = {"model": "acme/small", "input": "Hello"}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}


def asked(**fields: Any) -> openai_responses.Asked:
    return openai_responses.parse(json.dumps(HELLO | fields).encode())


def parse(**fields: Any) -> Any:
    return asked(**fields).request


def test_it_reads_a_request() -> None:
    request = parse(
        instructions="Be brief", max_output_tokens=7, temperature=0.5, models=["acme/large"], stream=True, store=False,
        reasoning={"effort": "low", "summary": "auto"}, text={"verbosity": "low"}, seed=3, surprise=1,
        provider={"only": ["sim"]}, session_id="s",
    )  # fmt: skip
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[1].parts == (Text("Hello"),)
    assert (request.max_tokens, request.reasoning.effort, request.stream) == (7, "low", True)
    assert request.parameters == {"temperature": 0.5, "seed": 3, "verbosity": "low"}
    assert (request.unknown, request.session_id) == ({"surprise": 1}, "s")
    assert request.preferences.only == ("sim",)
    assert request.wanted_models == ("acme/small", "acme/large")


def test_parts_of_every_kind() -> None:
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://a.example.test/x.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "file_url": "https://a.example.test/a.pdf"},
    ]
    (message,) = parse(input=[{"role": "user", "content": content}]).messages
    assert message.parts == (
        Text("What is this?"),
        Image("https://a.example.test/x.png", {"detail": "low"}),
        File(filename="a.pdf", data="data:application/pdf;base64,JVBERi0="),
        File(url="https://a.example.test/a.pdf"),
    )


def test_the_items_of_one_turn_are_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_7", "summary": [{"type": "summary_text", "text": "So"}]}
    request = parse(
        input=[
            {"role": "user", "content": "Look"},
            thought | {"encrypted_content": "abc", "format": "openai-responses-v1"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a tree"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}],
            },
        ]
    )
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "tool"]
    thoughts, words, *calls = request.messages[1].parts
    common = {"format": "openai-responses-v1", "id": "rs_7"}
    assert thoughts == Reasoning(
        "",
        (
            {"type": "reasoning.summary", "summary": "So", **common},
            {"type": "reasoning.encrypted", "data": "abc", **common},
        ),
    )
    assert words == Text("I look.")
    assert calls == [ToolCall("c1", "look", "{}"), ToolCall("c2", "look", "{}")]
    assert request.messages[2].parts == (ToolResult("c1", (Text("a tree"),)),)
    assert request.messages[3].parts == (ToolResult("c2", (Image("data:image/png;base64,AA=="),)),)


def test_tools_choices_and_formats() -> None:
    more = TOOL | {"name": "listen"}
    request = parse(tools=[TOOL, more], tool_choice={"type": "function", "name": "look"})
    assert request.tools[0].strict is True
    assert request.tool_choice == {"type": "function", "function": {"name": "look"}}
    some = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "listen"}]}
    request = parse(tools=[TOOL, more], tool_choice=some)
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["listen"], "required")
    wanted = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    assert parse(text={"format": wanted}).response_format == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
    }
    assert parse(text={"format": {"type": "text"}}).response_format is None
    assert parse(include=["message.output_text.logprobs"]).parameters == {"logprobs": True, "top_logprobs": 0}


def test_the_answer_repeats_the_request() -> None:
    echo = asked(instructions="Be brief", tools=[TOOL], metadata={"a": "b"}).echo
    assert (echo["instructions"], echo["tools"], echo["metadata"]) == ("Be brief", [TOOL], {"a": "b"})
    assert (echo["tool_choice"], echo["temperature"], echo["parallel_tool_calls"]) == ("auto", None, True)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "image_url"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"text": 3}, "text"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"top_logprobs": 50}, "top_logprobs"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert where in caught.value.message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "summary", "id", "call_id", "output", "text", "name"]),
            inner | st.sampled_from(["message", "reasoning", "function_call", "function_call_output", "user"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include"]), values))
def test_whatever_comes_is_read_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse(**fields).messages
