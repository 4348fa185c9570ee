"""What callers write in Google's dialect: read in either case of its names, or refused by the field's name."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib.errors import InvalidRequest
from routing.canonical import Audio, File, Image, Reasoning, Text, ToolCall, ToolResult, Video
from routing.ingress import gemini

HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
LOOK = {"functionDeclarations": [{"name": "look"}, {"name": "listen"}]}


def parse(**fields: Any) -> Any:
    return gemini.parse(json.dumps(HELLO | fields).encode(), model="acme/small", stream=False)


def test_it_reads_a_request_in_camel_and_in_snake_case() -> None:
    camel = parse(
        systemInstruction={"parts": [{"text": "Be brief"}]},
        generationConfig={"maxOutputTokens": 7, "topP": 0.5, "stopSequences": ["x"], "seed": 3},
        models=["acme/large"],
        surprise=1,
    )
    snake = parse(
        system_instruction="Be brief",
        generation_config={"max_output_tokens": 7, "top_p": 0.5, "stop_sequences": ["x"], "seed": 3},
        models=["acme/large"],
        surprise=1,
    )
    assert camel.messages == snake.messages
    assert camel.parameters == snake.parameters == {"top_p": 0.5, "stop": ["x"], "seed": 3}
    assert (camel.model, camel.max_tokens, camel.wanted_models) == ("acme/small", 7, ("acme/small", "acme/large"))
    assert [message.role for message in camel.messages] == ["system", "user"]
    assert camel.unknown == {"surprise": 1}


def test_parts_of_every_kind() -> None:
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": "-_8="}},
        {"inline_data": {"mime_type": "audio/mpeg", "data": "AAAA"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 1}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"fileData": {"fileUri": "https://a.example.test/x.jpg"}},
        {"file_data": {"file_uri": "https://a.example.test/y", "mime_type": "application/pdf"}},
    ]
    (message,) = parse(contents=[{"parts": parts}]).messages
    assert message.parts == (
        Image("data:image/png;base64,+/8="),
        Audio(data="AAAA", format="mp3"),
        Video(url="data:video/mp4;base64,AAAA", extra={"video_metadata": {"fps": 1}}),
        File(filename="a.pdf", data="data:application/pdf;base64,AAAA"),
        Image("https://a.example.test/x.jpg"),
        File(url="https://a.example.test/y"),
    )


def test_calls_without_ids_are_told_apart_by_name_and_order() -> None:
    def call(name: str, **more: Any) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {"n": 1}, **more}}

    def result(name: str, words: str, **more: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"result": words}, **more}}

    request = parse(
        contents=[
            *HELLO["contents"],
            {"role": "model", "parts": [call("look"), call("listen", id="c7"), call("look")]},
            {"role": "user", "parts": [result("look", "a"), result("listen", "b", id="c7"), result("look", "c")]},
        ]
    )
    _, turn, *results = request.messages
    assert turn.parts == (
        ToolCall("gem_1", "look", '{"n":1}'),
        ToolCall("c7", "listen", '{"n":1}'),
        ToolCall("gem_3", "look", '{"n":1}'),
    )
    assert [message.parts[0] for message in results] == [
        ToolResult("gem_1", (Text("a"),)),
        ToolResult("c7", (Text("b"),)),
        ToolResult("gem_3", (Text("c"),)),
    ]


def test_signatures_become_details_ahead_of_what_they_sign() -> None:
    parts = [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"name": "look", "id": "c1"}, "thoughtSignature": "c2ln"},
    ]
    (turn,) = parse(contents=[{"role": "model", "parts": parts}]).messages
    common = {"format": "google-gemini-v1"}
    assert turn.parts == (
        Reasoning("Hm.", ({"type": "reasoning.text", "text": "Hm.", **common},)),
        Reasoning("", ({"type": "reasoning.encrypted", "data": "c2ln", "id": "c1", **common},)),
        ToolCall("c1", "look", "{}"),
    )


def test_googles_schemas_become_json_schemas() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "first_name": {"type": "STRING", "nullable": True, "max_length": "9"},
            "tags": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a"]}},
        },
        "required": ["tags"],
        "property_ordering": ["tags"],
    }
    wanted = {
        "type": "object",
        "properties": {
            "first_name": {"type": ["string", "null"], "maxLength": 9},
            "tags": {"type": "array", "items": {"type": "string", "enum": ["a"]}},
        },
        "required": ["tags"],
    }
    request = parse(
        tools=[{"function_declarations": [{"name": "look", "parameters": schema}]}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": schema},
    )
    assert request.tools[0].parameters == wanted
    assert request.response_format["json_schema"]["schema"] == wanted
    raw = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}
    assert parse(generationConfig=raw).response_format["json_schema"]["schema"] == {"type": "object"}
    assert parse(generationConfig={"responseMimeType": "application/json"}).response_format == {"type": "json_object"}


@pytest.mark.parametrize(
    ("config", "choice", "left"),
    [
        ({"mode": "AUTO"}, "auto", 2),
        ({"mode": "NONE"}, "none", 2),
        ({"mode": "ANY"}, "required", 2),
        ({"mode": "ANY", "allowedFunctionNames": ["look"]}, {"type": "function", "function": {"name": "look"}}, 2),
        ({"mode": "VALIDATED", "allowed_function_names": ["listen"]}, "auto", 1),
    ],
)
def test_choices_of_functions(config: dict[str, Any], choice: Any, left: int) -> None:
    request = parse(tools=[LOOK], toolConfig={"functionCallingConfig": config})
    assert (request.tool_choice, len(request.tools)) == (choice, left)


@pytest.mark.parametrize(
    ("config", "effort", "budget", "enabled", "shown"),
    [
        ({"thinkingBudget": 0}, None, None, False, False),
        ({"thinkingBudget": -1, "includeThoughts": True}, None, None, True, True),
        ({"thinking_budget": 512}, None, 512, True, False),
        ({"thinkingLevel": "HIGH"}, "high", None, None, False),
    ],
)
def test_how_much_to_think(
    config: dict[str, Any], effort: str | None, budget: int | None, enabled: bool | None, shown: bool
) -> None:
    request = parse(generationConfig={"thinkingConfig": config})
    wish = request.reasoning
    assert (wish.effort, wish.max_tokens, wish.enabled) == (effort, budget, enabled)
    assert gemini.shows_thoughts(request) is shown


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": []}]}, "contents[0].parts"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"inlineData": {"data": "AA"}}]}]}, "inlineData.mimeType"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/x"}}]}]}, "fileUri"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "look"}}]}]}, "answers no functionCall"),
        ({"tools": [{"googleSearch": {}}]}, "googleSearch"),
        ({"tools": [LOOK], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "mode"),
        ({"generationConfig": {"temperature": 9}}, "generationConfig.temperature"),
        ({"generationConfig": {"candidateCount": 2}}, "candidateCount"),
        ({"generationConfig": {"responseMimeType": "text/xml"}}, "responseMimeType"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "SOME"}}}, "thinkingLevel"),
        ({"generationConfig": 3}, "generationConfig"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert where in caught.value.message


NAMES = ["parts", "role", "text", "functionCall", "functionResponse", "inlineData", "thoughtSignature", "name", "tools"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["user", "model", "look"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "mimeType", "args"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["contents", "tools", "toolConfig", "generationConfig"]), values))
def test_whatever_comes_is_read_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse(**fields).messages


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(100):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(InvalidRequest, match="nested deeper"):
        parse(generationConfig={"responseMimeType": "application/json", "responseSchema": schema})
