"""Requests in Anthropic's dialect: as its SDK sends them, and what its models refuse left out."""

import json
from typing import Any

import pytest

from routing.adapters.anthropic.models import abilities
from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from tests.routing.adapters.reading import joined, stream
from tests.routing.golden import cases_of

GOLDEN = cases_of("anthropic")
SONNET = "claude-sonnet-5"
OLDER = "claude-sonnet-4-5-20250929"
OTHER = "kimi-k3"  # another maker's model behind the same dialect
ANTHROPIC = adapter_for("anthropic")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEklEQVR4nGP4z8DAAMIM/4EAAB/uBfsL2WiLAAAAAElFTkSuQmCC"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather for a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
HI = {"role": "user", "content": "Say hi"}


def call(call_id: str, city: str = "Oslo") -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
    }


def result(call_id: str, content: Any = "4 °C") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def built(model: str = SONNET, *, cap: int | None = 4_096, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The body sent for a caller's request in OpenAI's dialect."""
    request = openai_chat.parse(json.dumps({"model": "m", "messages": [HI]} | fields).encode())
    target = Target("https://provider.example.test/v1/", model, {"api_key": "secret"})
    body: dict[str, Any] = json.loads(ANTHROPIC.build(request, target=target, stream=stream, max_tokens=cap).body)
    return body


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


# --- golden files -----------------------------------------------------------------------------------------------------

AS_A_CALLER_WRITES: dict[str, dict[str, Any]] = {
    "text": {"messages": [{"role": "system", "content": "You are terse."}, HI]},
    "image_url": {
        "messages": user(
            {"type": "image_url", "image_url": {"url": "https://files.example.test/cat.png", "detail": "low"}},
            {"type": "text", "text": "What is this?"},
        )
    },
    "pdf_base64": {
        "messages": user(
            {
                "type": "file",
                "file": {
                    "filename": "invoice",
                    "file_data": "data:application/pdf;base64,"
                    + GOLDEN["pdf_base64"].request["messages"][0]["content"][0]["source"]["data"],
                },
            },
            {"type": "text", "text": "Total?"},
        )
    },
    "thinking": {
        "messages": [{"role": "user", "content": "2+2?"}],
        "reasoning": {"effort": "medium", "exclude": True},
    },
    "stream_thinking": {
        "messages": [{"role": "user", "content": "2+2?"}],
        "reasoning": {"enabled": True, "exclude": True},
    },
    "stream_text": {},
    "stream_tool_call": {"messages": [{"role": "user", "content": "Weather in Oslo?"}], "tools": [WEATHER]},
    "tool_result": {
        "messages": [
            {"role": "user", "content": "Weather in Oslo?"},
            {"role": "assistant", "content": "Checking.", "tool_calls": [call("toolu_fx01")]},
            result(
                "toolu_fx01",
                [
                    {"type": "text", "text": '{"temp_c":4}'},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            ),
        ],
        "tools": [WEATHER],
    },
}


@pytest.mark.parametrize("name", AS_A_CALLER_WRITES)
def test_the_request_is_built_as_the_providers_sdk_does(name: str) -> None:
    case = GOLDEN[name]
    wanted = json.loads(json.dumps(case.request))
    for turn in wanted["messages"]:
        for block in turn["content"] if isinstance(turn["content"], list) else []:
            block.pop("is_error", None)  # false is what its absence says
    asked = AS_A_CALLER_WRITES[name]
    assert built(cap=wanted["max_tokens"], stream=case.is_stream, **asked) == wanted


def test_it_is_sent_as_the_providers_sdk_sends_it_and_as_older_clients_did() -> None:
    request = openai_chat.parse(json.dumps({"model": "m", "messages": [HI]}).encode())

    def sent(**credentials: str) -> tuple[str, dict[str, str]]:
        target = Target("https://provider.example.test/v1/", SONNET, credentials)
        made = ANTHROPIC.build(request, target=target, stream=False, max_tokens=5)
        return made.url, dict(made.headers)

    url, headers = sent(api_key="secret")
    assert url == "https://provider.example.test/v1/messages"
    assert (headers["authorization"], headers["anthropic-version"]) == ("Bearer secret", "2026-10-21")
    assert "x-api-key" not in headers
    _, headers = sent(api_key="secret", version="2023-06-01")
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("secret", "2023-06-01")
    assert "authorization" not in headers


# --- requests: turns --------------------------------------------------------------------------------------------------


def test_max_tokens_is_always_there() -> None:
    assert built(cap=None)["max_tokens"] == 4_096
    assert built(cap=7)["max_tokens"] == 7


def test_instructions_go_to_the_top_and_keep_their_cache_marks() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = built(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "One.", "cache_control": mark}]},
            HI,
            {"role": "developer", "content": "Two."},
        ]
    )
    assert body["system"] == [
        {"type": "text", "text": "One.", "cache_control": mark},
        {"type": "text", "text": "Two."},
    ]
    assert body["messages"] == [HI]
    only = built(messages=[{"role": "system", "content": "Only this."}])
    assert only["messages"] == [{"role": "user", "content": "Only this."}]


def test_turns_of_one_role_become_one_and_the_user_begins() -> None:
    body = built(
        messages=[
            {"role": "assistant", "content": "Welcome!"},
            {"role": "user", "content": "A"},
            {"role": "user", "content": "B"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": " "},
            {"role": "user", "content": "C"},
        ]
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["messages"][2]["content"]] == ["A", "B", "C"]


def test_parallel_results_come_first_in_one_user_turn() -> None:
    body = built(
        tools=[WEATHER],
        messages=[
            HI,
            {"role": "assistant", "content": None, "tool_calls": [call("a.1"), call("b", "Rome")]},
            result("a.1"),
            result("b", [{"type": "text", "text": "20 °C", "cache_control": {"type": "ephemeral"}}]),
            {"role": "user", "content": "And?"},
        ],
    )
    _, calls, results = body["messages"]
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]
    ids = [block["id"] for block in calls["content"]]
    assert [block["tool_use_id"] for block in results["content"][:2]] == ids
    assert ids[0] != "a.1"  # a dot is refused
    assert ids[1] == "b"
    assert results["content"][1]["cache_control"] == {"type": "ephemeral"}
    assert results["content"][1]["content"] == "20 °C"


@pytest.mark.parametrize(
    ("written", "sent"),
    [("", {}), ('{"a": 1}', {"a": 1}), ("[1]", {"arguments": [1]}), ('{"a":', {"arguments": '{"a":'})],
)
def test_arguments_are_always_an_object(written: str, sent: dict[str, Any]) -> None:
    made = {"id": "x", "type": "function", "function": {"name": "f", "arguments": written}}
    body = built(messages=[HI, {"role": "assistant", "tool_calls": [made]}, result("x")])
    assert body["messages"][1]["content"][0]["input"] == sent


def test_a_history_with_calls_needs_tools_even_where_none_is_offered() -> None:
    body = built(messages=[HI, {"role": "assistant", "tool_calls": [call("x")]}, result("x")])
    assert [tool["name"] for tool in body["tools"]] == ["get_weather"]
    assert body["tool_choice"] == {"type": "none"}


def test_a_begun_answer_may_not_end_in_blanks() -> None:
    body = built(OLDER, messages=[HI, {"role": "assistant", "content": "Hi \n"}])
    assert body["messages"][-1] == {"role": "assistant", "content": "Hi"}


def test_files_by_data_by_address_as_text_and_as_images() -> None:
    def block(**file: str) -> Any:
        return built(messages=user({"type": "file", "file": file}))["messages"][0]["content"][0]

    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert block(file_data="JVBERi0=")["source"] == pdf
    assert block(file_data="https://files.example.test/a.pdf") == {
        "type": "document",
        "source": {"type": "url", "url": "https://files.example.test/a.pdf"},
    }
    assert block(file_data="data:text/csv;base64,YSxi", filename="a.csv") == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
        "title": "a.csv",
    }
    assert block(file_data=f"data:image/png;base64,{PNG}")["type"] == "image"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-of-somebody"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://files.example.test/a.mp4"}},
    ],
)
def test_what_the_dialect_cannot_carry_is_for_another_endpoint(part: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        built(messages=user(part))
    assert (caught.value.kind, caught.value.retryable) == ("invalid", True)


# --- requests: tools, marks, parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ({"type": "function", "function": {"name": "get_weather"}}, None, {"type": "tool", "name": "get_weather"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_tools(choice: Any, parallel: bool | None, sent: Any) -> None:
    body = built(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == sent


def test_a_tool_without_parameters_still_has_a_schema() -> None:
    body = built(tools=[{"type": "function", "function": {"name": "now", "strict": True}}])
    assert body["tools"] == [{"name": "now", "input_schema": {"type": "object", "properties": {}}, "strict": True}]


def test_cache_marks_of_both_kinds_are_written_and_at_most_four() -> None:
    parts = [{"type": "text", "text": str(n), "prompt_cache_breakpoint": {"mode": "explicit"}} for n in range(6)]
    body = built(messages=user(*parts), cache_control={"type": "ephemeral"})
    marked = [block["text"] for block in body["messages"][0]["content"] if "cache_control" in block]
    assert marked == ["3", "4", "5"]  # and the one at the top is the fourth
    assert body["cache_control"] == {"type": "ephemeral"}


def test_parameters_are_renamed_clamped_and_left_out() -> None:
    body = built(
        OLDER,
        temperature=1.7,
        top_p=0.9,
        top_k=5,
        stop=["END", "\n"],
        seed=1,
        user="u1",
        frequency_penalty=1,
        logit_bias={"1": 2},
        service_tier="default",
        unheard_of=True,
    )
    assert body == {
        "model": OLDER,
        "max_tokens": 4_096,
        "messages": [HI],
        "temperature": 1,  # theirs ends at 1, and this model takes one of temperature and top_p
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "service_tier": "standard_only",
    }
    assert built(SONNET, temperature=0.5, top_p=0.9).keys() == {"model", "max_tokens", "messages"}
    assert built(OTHER, temperature=0.5, top_p=0.9)["top_p"] == 0.9


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert built(response_format=wanted)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert "output_config" not in built("claude-3-5-haiku-latest", response_format=wanted)
    assert "output_config" not in built(response_format={"type": "json_object"})


# --- requests: thinking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "thinking", "samples", "forces"),
    [
        ("claude-2.1", "none", True, True),
        ("claude-3-5-sonnet-20241022", "none", True, True),
        ("claude-3-7-sonnet-20250219", "budget", True, True),
        ("claude-sonnet-4-20250514", "budget", True, True),
        ("claude-opus-4-5", "budget", True, True),
        ("anthropic/claude-opus-4.6", "adaptive", True, True),
        ("claude-opus-4-7", "adaptive", False, True),
        ("claude-sonnet-5", "adaptive", False, True),
        ("claude-sonnet-5-5", "adaptive", False, False),
        ("claude-fable-5", "adaptive", False, True),
        ("claude-mythos-preview", "adaptive", False, False),
        ("glm-5.2", "budget", True, True),
    ],
)
def test_what_each_generation_accepts(model: str, thinking: str, samples: bool, forces: bool) -> None:
    able = abilities(model)
    assert (able.thinking, able.samples, able.forces_tools) == (thinking, samples, forces)


@pytest.mark.parametrize(
    ("wish", "cap", "thinking"),
    [
        ({"effort": "high"}, 10_000, {"type": "enabled", "budget_tokens": 8_000}),
        ({"enabled": True}, 10_000, {"type": "enabled", "budget_tokens": 5_000}),
        ({"max_tokens": 3_000}, 10_000, {"type": "enabled", "budget_tokens": 3_000}),
        ({"max_tokens": 100}, 10_000, {"type": "enabled", "budget_tokens": 1_024}),
        ({"max_tokens": 30_000}, 10_000, {"type": "enabled", "budget_tokens": 9_999}),
        ({"effort": "low"}, 1_024, None),  # no room: a budget has at least 1,024 tokens and is less than the cap
        ({"effort": "none"}, 10_000, None),
        ({"enabled": False}, 10_000, None),
    ],
)
def test_effort_becomes_a_budget_where_the_model_wants_one(wish: dict[str, Any], cap: int, thinking: Any) -> None:
    body = built(OLDER, cap=cap, reasoning=wish, temperature=0.5)
    assert body.get("thinking") == thinking
    assert ("temperature" in body) is (thinking is None)  # refused beside thinking
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("model", "wish", "thinking", "level"),
    [
        (SONNET, {"effort": "xhigh"}, {"type": "adaptive", "display": "summarized"}, "xhigh"),
        (SONNET, {"effort": "minimal", "exclude": True}, {"type": "adaptive"}, "low"),
        (SONNET, {"max_tokens": 3_000}, {"type": "adaptive", "display": "summarized"}, "high"),
        (SONNET, {"max_tokens": 900}, {"type": "adaptive", "display": "summarized"}, "low"),
        (SONNET, {"enabled": True}, {"type": "adaptive", "display": "summarized"}, None),
        (SONNET, {"effort": "none"}, {"type": "disabled"}, None),
        ("claude-opus-4-6", {"effort": "xhigh"}, {"type": "adaptive"}, "high"),
        ("claude-opus-4-8", {"effort": "none"}, None, None),
        ("claude-fable-5", {"effort": "none"}, None, "low"),  # it always thinks
    ],
)
def test_a_budget_becomes_an_effort_where_the_model_wants_one(model: str, wish: Any, thinking: Any, level: Any) -> None:
    body = built(model, reasoning=wish)
    assert body.get("thinking") == thinking
    assert body.get("output_config") == (None if level is None else {"effort": level})


def test_a_forced_tool_wins_over_thinking() -> None:
    for model in (OLDER, SONNET):
        body = built(model, tools=[WEATHER], tool_choice="required", reasoning={"effort": "high"})
        assert "thinking" not in body
        assert body["tool_choice"] == {"type": "any"}
    body = built("claude-sonnet-5-5", tools=[WEATHER], tool_choice="required", reasoning={"effort": "high"})
    assert "tool_choice" not in body
    assert body["thinking"]["type"] == "adaptive"


SIGNED = {"type": "reasoning.text", "text": "Two plus two.", "signature": "c2ln", "format": "anthropic-claude-v1"}


def test_thoughts_come_back_untouched_as_they_were_given() -> None:
    case = GOLDEN["stream_thinking"]
    details = joined(stream("anthropic", case.answer))["details"]
    echoed = {
        "role": "assistant",
        "content": "4",
        "reasoning_details": [*details, {"type": "reasoning.encrypted", "data": "xyz", "index": 7}],
        "tool_calls": [call("x")],
    }
    for kept in (details, joined([ANTHROPIC.parse_answer(GOLDEN["thinking"].answer)])["details"]):
        echoed["reasoning_details"] = [*kept, {"type": "reasoning.encrypted", "data": "xyz", "index": 7}]
        blocks = built(messages=[HI, echoed, result("x")])["messages"][1]["content"]
        assert blocks[:3] == [
            {"type": "thinking", "thinking": "Two plus two is four.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "4"},
        ]


def test_thoughts_that_nobody_signed_or_another_maker_did_stay_out() -> None:
    details = [
        {"type": "reasoning.text", "text": "unsigned", "format": "anthropic-claude-v1", "index": 0},
        SIGNED | {"format": "google-gemini-v1"},
        SIGNED | {"index": 1},
        SIGNED | {"index": 2, "text": "Again."},
    ]
    message = {"role": "assistant", "content": "4", "reasoning": "plain", "reasoning_details": details}
    blocks = built(messages=[HI, message, HI])["messages"][1]["content"]
    assert [block.get("thinking", block.get("text")) for block in blocks] == ["Two plus two.", "Again.", "4"]


def test_a_tool_loop_that_lost_its_thoughts_goes_on_without() -> None:
    loop: list[dict[str, Any]] = [HI, {"role": "assistant", "tool_calls": [call("x")]}, result("x")]
    asked: dict[str, Any] = {"tools": [WEATHER], "reasoning": {"max_tokens": 2_000}}
    assert "thinking" not in built(OLDER, messages=loop, **asked)
    kept = [HI, loop[1] | {"reasoning_details": [SIGNED]}, loop[2]]
    assert built(OLDER, messages=kept, **asked)["thinking"]["budget_tokens"] == 2_000
    assert "thinking" not in built(OLDER, messages=[HI, {"role": "assistant", "content": "So"}], **asked)
