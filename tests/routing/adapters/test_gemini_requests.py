"""Requests in Gemini's dialect: as its SDK sends them, and what its models refuse left out."""

import json
import re
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.gemini.models import abilities
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from tests.routing.adapters.reading import joined
from tests.routing.adapters.test_anthropic_requests import HI, PNG, WEATHER, call, result, user
from tests.routing.golden import cases_of

GOLDEN = cases_of("gemini")
GEMINI = adapter_for("gemini")
FLASH = "gemini-3-flash"
OLDER = "gemini-2.5-flash"
OSLO = [{"role": "user", "content": "Weather in Oslo?"}]
CITY = GOLDEN["structured_output"].request["generationConfig"]["responseJsonSchema"]
SKIPPED = "skip_thought_signature_validator"


def built(model: str = FLASH, *, cap: int | None = None, **fields: Any) -> dict[str, Any]:
    """The body sent for a caller's request in OpenAI's dialect."""
    request = openai_chat.parse(json.dumps({"model": "m", "messages": [HI]} | fields).encode())
    target = Target("https://provider.example.test/v1", model, {"api_key": "secret"})
    body: dict[str, Any] = json.loads(GEMINI.build(request, target=target, stream=False, max_tokens=cap).body)
    return body


def config(model: str = FLASH, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = built(model, **fields)["generationConfig"]
    return found


def camel(value: Any) -> Any:
    """Proto JSON takes names in both cases and base64 in both alphabets; the SDK mixes them."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub("_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {
        name: inner.replace("-", "+").replace("_", "/") if name == "data" else inner
        for name, inner in ((name, inner if "chema" in name else camel(inner)) for name, inner in named.items())
    }


def inline(name: str, place: int) -> str:
    return str(camel(GOLDEN[name].request)["contents"][0]["parts"][place]["inlineData"]["data"])


AS_A_CALLER_WRITES: dict[str, dict[str, Any]] = {
    "text": {"messages": [{"role": "system", "content": "You are terse."}, HI], "temperature": 0.2, "cap": 64},
    "stream_text": {},
    "image_uri": {
        "messages": user(
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": "https://generativelanguage.googleapis.com/v1beta/files/fx-cat"},
        )
    },
    "pdf_base64": {
        "messages": user(
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{inline('pdf_base64', 0)}"}},
            {"type": "text", "text": "Total?"},
        )
    },
    "video_base64": {
        "messages": user(
            {
                "type": "video_url",
                "video_url": {
                    "url": f"data:video/mp4;base64,{inline('video_base64', 0)}",
                    "start_offset": "0s",
                    "end_offset": "1s",
                    "fps": 1.0,
                },
            },
            {"type": "text", "text": "What happens?"},
        )
    },
    "structured_output": {
        "messages": [{"role": "user", "content": "City?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}},
    },
    "tool_call": {"messages": OSLO, "tools": [WEATHER], "tool_choice": "auto"},
    "stream_tool_call": {"messages": OSLO, "tools": [WEATHER]},
}


@pytest.mark.parametrize("name", AS_A_CALLER_WRITES)
def test_the_request_is_built_as_the_providers_sdk_does(name: str) -> None:
    wanted = camel(GOLDEN[name].request)
    if name == "image_uri":  # the caller says no type and the address shows none
        wanted["contents"][0]["parts"][1]["fileData"]["mimeType"] = "image/jpeg"
    assert built(**AS_A_CALLER_WRITES[name]) == wanted


def test_the_model_is_in_the_path_and_the_key_in_a_header() -> None:
    request = openai_chat.parse(json.dumps({"model": "m", "messages": [HI]}).encode())
    for stream, name in ((False, "text"), (True, "stream_text")):
        target = Target("https://provider.example.test/v1/", FLASH, {"api_key": "secret"})
        sent = GEMINI.build(request, target=target, stream=stream, max_tokens=5)
        assert sent.url == "https://provider.example.test" + GOLDEN[name].data["request"]["path"]
        assert ("x-goog-api-key", "secret") in sent.headers
    tuned = GEMINI.build(request, target=Target("https://x.test/v1", "tunedModels/a", {}), stream=False, max_tokens=5)
    assert tuned.url == "https://x.test/v1/tunedModels/a:generateContent"


# --- turns ------------------------------------------------------------------------------------------------------------


def test_instructions_are_gathered_and_turns_of_one_role_become_one() -> None:
    body = built(
        messages=[
            {"role": "system", "content": "One."},
            HI,
            {"role": "developer", "content": "Two."},
            {"role": "user", "content": "B"},
            {"role": "assistant", "content": "C"},
            {"role": "user", "content": ""},
        ]
    )
    assert body["systemInstruction"]["parts"] == [{"text": "One."}, {"text": "Two."}]
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Say hi"}, {"text": "B"}]},
        {"role": "model", "parts": [{"text": "C"}]},
    ]
    only = built(messages=[{"role": "system", "content": "Only this."}])
    assert only["contents"] == [{"role": "user", "parts": [{"text": "Only this."}]}]
    assert "systemInstruction" not in only


def test_media_of_all_kinds() -> None:
    def part(given: dict[str, Any]) -> Any:
        return built(messages=user(given))["contents"][0]["parts"][0]

    assert part({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}) == {
        "inlineData": {"mimeType": "image/png", "data": PNG}
    }
    assert part({"type": "image_url", "image_url": {"url": "https://files.example.test/a.webp?x=1"}}) == {
        "fileData": {"mimeType": "image/webp", "fileUri": "https://files.example.test/a.webp?x=1"}
    }
    assert part({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}) == {
        "inlineData": {"mimeType": "audio/wav", "data": "UklG"}
    }
    assert part({"type": "file", "file": {"file_data": "https://files.example.test/a.pdf"}}) == {
        "fileData": {"mimeType": "application/pdf", "fileUri": "https://files.example.test/a.pdf"}
    }
    frames = {"type": "video", "video": ["https://files.example.test/1.png"]}
    assert part(frames)["fileData"]["mimeType"] == "image/png"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-of-somebody"}},
        {"type": "image_url", "image_url": {"url": "http://files.example.test/a.png"}},
    ],
)
def test_what_the_dialect_cannot_carry_is_for_another_endpoint(part: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        built(messages=user(part))
    assert (caught.value.kind, caught.value.retryable) == ("invalid", True)


def test_results_name_their_calls_and_keep_the_calls_order_in_a_turn_of_their_own() -> None:
    ours = [call("gem_1"), call("gem_2", "Rome")]
    body = built(
        OLDER,
        messages=[
            *OSLO,
            {"role": "assistant", "content": "Checking.", "tool_calls": ours},
            result("gem_2", '{"temp_c": 20}'),
            result("gem_1", "4 °C"),
            {"role": "user", "content": "And?"},
        ],
    )
    _, calls, results, more = body["contents"]
    assert calls["parts"][1] == {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}}
    assert results["parts"] == [
        {"functionResponse": {"name": "get_weather", "response": {"output": "4 °C"}}},
        {"functionResponse": {"name": "get_weather", "response": {"temp_c": 20}}},
    ]
    assert more["parts"] == [{"text": "And?"}]


def test_ids_that_the_model_gave_go_back_to_it() -> None:
    body = built(messages=[*OSLO, {"role": "assistant", "tool_calls": [call("theirs")]}, result("theirs")])
    assert body["contents"][1]["parts"][0]["functionCall"]["id"] == "theirs"
    assert body["contents"][2]["parts"][0]["functionResponse"]["id"] == "theirs"


def test_an_image_in_a_result_goes_with_it_or_beside_it() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    shown = result("theirs", [{"type": "text", "text": "Look"}, image])
    asked = [*OSLO, {"role": "assistant", "tool_calls": [call("theirs")]}, shown]
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    (newer,) = built(FLASH, messages=asked)["contents"][2]["parts"]
    assert newer["functionResponse"]["parts"] == [picture]
    older = built(OLDER, messages=asked)["contents"][2]["parts"]
    assert older[1] == picture
    assert "parts" not in older[0]["functionResponse"]


def test_signatures_go_back_to_the_very_part_that_they_came_with() -> None:
    answer = joined([GEMINI.parse_answer(GOLDEN["tool_call"].answer)])
    (made,) = answer["tool_calls"]
    echoed = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call(made["id"]), call("second", "Rome")],
        "reasoning_details": answer["details"],
    }
    body = built(messages=[*OSLO, echoed, result(made["id"]), result("second")])
    first, second = body["contents"][1]["parts"]
    assert first == GOLDEN["tool_call"].data["response"]["body"]["candidates"][0]["content"]["parts"][0]
    assert "thoughtSignature" not in second  # of parallel calls only the first is signed


def test_signatures_of_words_and_those_kept_as_googles_own_clients_do() -> None:
    kept = {"type": "reasoning.encrypted", "data": "c2ln", "format": "google-gemini-v1"}
    spoken = {"role": "assistant", "content": "4", "reasoning_details": [kept]}
    assert built(messages=[HI, spoken, HI])["contents"][1]["parts"] == [{"text": "4", "thoughtSignature": "c2ln"}]
    beside = call("x") | {"extra_content": {"google": {"thought_signature": "YmVzaWRl"}}}
    body = built(messages=[HI, {"role": "assistant", "tool_calls": [beside]}, result("x")])
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "YmVzaWRl"


def test_calls_of_another_makers_model_are_marked_as_unsigned_where_a_signature_is_compulsory() -> None:
    claudes = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1"}
    calls = {"role": "assistant", "tool_calls": [call("a"), call("b")], "reasoning_details": [claudes]}
    asked = [*OSLO, calls, result("a"), result("b")]
    parts = built(FLASH, messages=asked)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [SKIPPED, None]
    parts = built(OLDER, messages=asked)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, None]


# --- parameters -------------------------------------------------------------------------------------------------------


def test_parameters_are_renamed_or_left_out() -> None:
    asked: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop": list("abcdefg"),
        "seed": 7,
        "presence_penalty": 1,
        "logit_bias": {"1": 2},
        "logprobs": True,
        "user": "u1",
        "modalities": ["text", "image"],
        "unheard_of": True,
        "cap": 99,
    }
    sent = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 5,
        "stopSequences": list("abcde"),
        "seed": 7,
        "maxOutputTokens": 99,
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert config(FLASH, **asked) == sent
    assert config("gemini-2.0-flash", **asked) == sent | {"presencePenalty": 1}
    assert "seed" not in config(seed=2**40)  # theirs has 32 bits


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, sent: Any) -> None:
    assert built(tools=[WEATHER], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": sent}


def test_json_without_a_schema_and_beside_tools() -> None:
    wanted = {"type": "json_object"}
    assert config(response_format=wanted) == {"responseMimeType": "application/json"}
    assert config(FLASH, response_format=wanted, tools=[WEATHER]) == {"responseMimeType": "application/json"}
    assert config(OLDER, response_format=wanted, tools=[WEATHER]) == {}  # it refuses one beside the other


@pytest.mark.parametrize(
    ("model", "wish", "sent"),
    [
        (FLASH, {"effort": "minimal"}, {"thinkingLevel": "minimal", "includeThoughts": True}),
        (FLASH, {"effort": "max"}, {"thinkingLevel": "high", "includeThoughts": True}),
        (FLASH, {"effort": "none"}, {"thinkingLevel": "minimal"}),
        (FLASH, {"max_tokens": 500, "exclude": True}, {"thinkingLevel": "medium"}),
        (FLASH, {"enabled": True}, {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemini-3-pro-preview", {"effort": "medium", "exclude": True}, {"thinkingLevel": "high"}),
        ("gemini-3.1-pro-preview", {"effort": "medium", "exclude": True}, {"thinkingLevel": "medium"}),
        ("gemini-3.1-pro-preview", {"effort": "none"}, {"thinkingLevel": "low"}),
        (OLDER, {"effort": "high"}, {"thinkingBudget": 800, "includeThoughts": True}),
        (OLDER, {"max_tokens": 99_999, "exclude": True}, {"thinkingBudget": 24_576}),
        (OLDER, {"effort": "none"}, {"thinkingBudget": 0}),
        (OLDER, {"exclude": False}, {"includeThoughts": True}),
        ("gemini-2.5-pro", {"enabled": False}, {"thinkingBudget": 128}),  # it cannot stop thinking
        ("gemini-2.0-flash", {"effort": "high"}, None),
        ("gemma-3-27b-it", {"effort": "high"}, None),
    ],
)
def test_effort_becomes_a_level_or_a_budget(model: str, wish: dict[str, Any], sent: Any) -> None:
    assert config(model, reasoning=wish, cap=1_000).get("thinkingConfig") == sent


def test_a_name_without_a_number_is_the_newest() -> None:
    assert abilities("gemini-flash-latest").thinking == "level"
