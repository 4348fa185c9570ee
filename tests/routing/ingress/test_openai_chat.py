"""What callers write in the OpenAI chat dialect: read, or refused with a 400 that names the field."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib.errors import InvalidRequest
from routing.adapters.base import Target
from routing.adapters.registry import ADAPTERS, adapter_for
from routing.canonical import Audio, Image, Text, ToolCall, ToolResult
from routing.ingress import openai_chat

HELLO = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}]}
TARGET = Target("https://provider.example.test/v1", "their-model", {})


def parse(**fields: Any) -> Any:
    return openai_chat.parse(json.dumps(HELLO | fields).encode())


def sent(kind: str, **fields: Any) -> dict[str, Any]:
    request = parse(**fields)
    return json.loads(adapter_for(kind).build(request, target=TARGET, stream=False, max_tokens=64).body)


def test_it_reads_a_request() -> None:
    request = parse(
        models=["acme/large", "acme/small"], max_completion_tokens=7, max_tokens=9, temperature=0.5, stop="x"
    )
    assert request.wanted_models == ("acme/small", "acme/large")
    assert request.messages[0].parts == (Text("Hello"),)
    assert request.max_tokens == 7
    assert request.parameters == {"temperature": 0.5, "stop": ["x"]}


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"input_audio": {"data": "UklG", "format": "wav"}}, Audio("UklG", "wav")),
        ({"input_audio": {"data": "UklG"}}, Audio("UklG")),
        ({"input_audio": {"data": "data:audio/x-wav;base64,UklG"}}, Audio("UklG", "wav")),
        ({"input_audio": {"data": "data:audio/mpeg;base64,UklG", "format": "mp3"}}, Audio("UklG", "mp3")),
        (
            {"input_audio": {"data": "https://a.example.test/x.mp3", "format": "mp3"}},
            Audio(None, "mp3", "https://a.example.test/x.mp3"),
        ),
        ({"audio_url": {"url": "https://a.example.test/x.mp3"}}, Audio(url="https://a.example.test/x.mp3")),
        ({"audio_url": {"url": "data:audio/mpeg;codecs=mp3;base64,UklG"}}, Audio("UklG", "mp3")),
    ],
    ids=str,
)
def test_sound_is_read_from_base64_an_address_or_a_data_url(part: dict[str, Any], read: Audio) -> None:
    request = parse(messages=[{"role": "user", "content": [{"type": next(iter(part)), **part}]}])
    assert request.messages[0].parts == (read,)


def test_a_data_url_of_sound_without_base64_is_refused() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "data:audio/wav,RIFF"}}
    with pytest.raises(InvalidRequest, match=r"input_audio\.data.*base64"):
        parse(messages=[{"role": "user", "content": [part]}])


def test_it_reads_parts_tools_and_results() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.example.test/x.png", "detail": "low"}}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = parse(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "?"}, image]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
        ]
    )
    assert request.messages[0].parts[1] == Image("https://a.example.test/x.png", {"detail": "low"})
    assert request.messages[1].parts == (ToolCall("c1", "f", "{}"),)
    assert request.messages[2].parts == (ToolResult("c1", (Text("4"),)),)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": [], "content": "x"}]}, "messages[0].role"),
    ({"reasoning": {"effort": []}}, "reasoning.effort"),
    ({"provider": {"sort": []}}, "provider.sort"),
    ({"plugins": {"id": "web"}}, "plugins"),
    ({"plugins": ["web"]}, "plugins"),
    ({"plugins": [{"id": "file-parser"}, {"id": "web"}]}, "plugins[1].id"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
            ]
        },
        "messages[0].content[0].image_url.url",
    ),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"model": 7}, "model"),
    ({"models": "acme/large"}, "models"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": True}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"stop": [1]}, "stop"),
    ({"tools": [{"type": "function"}]}, "tools[0]"),
    ({"tools": [{"type": 5, "function": {"name": "f"}}]}, "tools[0]"),
    ({"tools": [{"type": "openrouter:web_search"}]}, "tools[0].type"),
    ({"tool_choice": "always"}, "tool_choice"),
    ({"response_format": "json"}, "response_format"),
    ({"reasoning": {"effort": "vast"}}, "reasoning.effort"),
    ({"provider": []}, "provider"),
    ({"provider": {"order": "groq"}}, "provider.order"),
    ({"provider": {"sort": "colour"}}, "provider.sort"),
    ({"provider": {"sort": {"by": "price", "partition": "half"}}}, "provider.sort.partition"),
    ({"provider": {"preferred_max_latency": "fast"}}, "provider.preferred_max_latency"),
    ({"provider": {"preferred_min_throughput": {"p42": 1}}}, "provider.preferred_min_throughput"),
    ({"provider": {"max_price": {"prompt": "cheap"}}}, "provider.max_price.prompt"),
    ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price.prompt"),
    ({"provider": {"max_price": {"promt": 1}}}, "provider.max_price.promt"),
    ({"provider": {"zrd": True}}, "provider.zrd"),
    ({"provider": {"enforce_distillable_text": 1}}, "provider.enforce_distillable_text"),
    ({"provider": {"quantizations": ["fp8", "int3"]}}, "provider.quantizations"),
]


@pytest.mark.parametrize(("fields", "where"), BAD)
def test_a_malformed_field_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert caught.value.metadata["field"] == where
    assert f"'{where}'" in caught.value.message


def test_mistrals_word_for_a_call_that_must_come_is_understood() -> None:
    assert parse(tool_choice="any").tool_choice == "required"


def test_a_byte_order_mark_is_passed_over_and_a_compressed_body_told_apart() -> None:
    body = b'{"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}]}'
    assert openai_chat.parse(b"\xef\xbb\xbf" + body).messages == openai_chat.parse(body).messages
    with pytest.raises(InvalidRequest, match="compressed: send it as it is"):
        openai_chat.parse(gzip.compress(body))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a":NaN}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        openai_chat.parse(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "model", "models", "messages", "tools", "tool_choice", "stop", "stream", "reasoning", "provider",
        "response_format", "max_tokens", "temperature", "top_k", "seed", "logit_bias", "session_id", "user", "surprise",
    ]
)  # fmt: skip


@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_any_json_is_read_or_refused_and_never_breaks(fields: dict[str, Any]) -> None:
    try:
        request = parse(**fields)
    except InvalidRequest:
        return
    for kind in ADAPTERS:
        adapter_for(kind).build(request, target=TARGET, stream=True, max_tokens=1)


OWN = {
    "provider": {"order": ["groq"]},
    "models": ["acme/large"],
    "plugins": [{"id": "file-parser"}, {"id": "web", "enabled": False}],
    "usage": {"include": True},
    "transforms": ["middle-out"],
    "session_id": "s1",
    "route": "fallback",
    "debug": {"echo_upstream_body": True},
    "n": 100,
    "stream_options": {"include_usage": False},
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_gateways_own_fields_are_never_sent_on(kind: str) -> None:
    assert sent(kind, **OWN) == sent(kind)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_unknown_fields_go_only_to_dialects_that_leave_what_they_do_not_know(kind: str) -> None:
    body = sent(kind, guided_regex="a+", best_of=9)
    assert ("guided_regex" in body) is (kind == "generic")
    assert "best_of" not in body


def test_the_cap_goes_under_the_providers_own_name_and_the_callers_cannot_raise_it() -> None:
    assert sent("openai_chat", max_tokens=1_000)["max_completion_tokens"] == 64
    assert sent("mistral", max_completion_tokens=1_000)["max_tokens"] == 64


def test_mistral_gets_only_what_it_knows() -> None:
    call = {"id": "call_long_id", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = sent(
        "mistral",
        messages=[
            {"role": "developer", "content": "Be terse.", "name": "boss"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_long_id", "content": "4"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}],
        tool_choice="required",
        seed=7,
        top_k=3,
        user="u",
        logprobs=True,
        reasoning={"effort": "high"},
    )
    asked, given_back = body["messages"][1]["tool_calls"][0]["id"], body["messages"][2]["tool_call_id"]
    assert asked == given_back
    assert len(asked) == 9
    assert asked.isalnum()
    assert body["messages"][0] == {"role": "system", "content": "Be terse."}
    assert body["tool_choice"] == "any"
    assert body["random_seed"] == 7
    assert set(body) == {"model", "messages", "max_tokens", "tools", "tool_choice", "random_seed"}
    assert body["tools"][0]["function"] == {"name": "f"}


@pytest.mark.parametrize(
    ("kind", "wish", "written"),
    [
        ("openai_chat", {"effort": "max"}, {"reasoning_effort": "xhigh"}),
        ("xai", {"effort": "medium"}, {"reasoning_effort": "low"}),
        ("qwen_compatible", {"effort": "high"}, {"enable_thinking": True, "thinking_budget": 51}),
        ("qwen_compatible", {"effort": "none"}, {"enable_thinking": False}),
        ("qwen_compatible", {"max_tokens": 12}, {"enable_thinking": True, "thinking_budget": 12}),
        ("deepseek", {"effort": "high"}, {}),
    ],
)
def test_a_reasoning_wish_is_put_in_the_providers_words(
    kind: str, wish: dict[str, Any], written: dict[str, Any]
) -> None:
    body = sent(kind, reasoning=wish)
    assert {name: value for name, value in body.items() if "reason" in name or "think" in name} == written


def test_prices_are_read_exactly() -> None:
    request = parse(provider={"max_price": {"prompt": "0.15", "completion": 2, "image": 0.04, "audio": None}})
    assert request.preferences.max_price == {
        "prompt": 150_000_000,
        "completion": 2_000_000_000,
        "image": 40_000_000_000_000,
    }


def test_the_older_switch_for_thoughts_still_works() -> None:
    assert parse(include_reasoning=False).reasoning.exclude is True
    assert parse(include_reasoning=True).reasoning.exclude is False
    assert parse(include_reasoning=False, reasoning={"effort": "low"}).reasoning.exclude is False


def test_a_tool_may_be_marked_for_the_cache() -> None:
    mark = {"type": "ephemeral"}
    tool = {"type": "function", "function": {"name": "look"}, "cache_control": mark}
    assert parse(tools=[tool]).tools[0].extra == {"cache_control": mark}
    assert sent("anthropic", tools=[tool])["tools"][0]["cache_control"] == mark


def test_sort_as_an_object_and_soft_thresholds_are_read() -> None:
    wishes = parse(
        provider={
            "sort": {"by": "throughput", "partition": "none"},
            "preferred_max_latency": 2,
            "preferred_min_throughput": {"p90": 20.5, "p50": None},
        }
    ).preferences
    assert (wishes.sort, wishes.partition) == ("throughput", "none")
    assert wishes.most_latency == {50: 2.0}
    assert wishes.least_throughput == {90: 20.5}
