"""Bedrock's Converse beyond its golden files: signatures, what its models take, and how its failures read."""

import json
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from routing.simulation.frames import frame
from tests.routing.adapters.reading import joined, pieces, stream
from tests.routing.golden import cases_of

BEDROCK = adapter_for("bedrock_converse")
BASE = "https://bedrock-runtime.eu-central-1.amazonaws.com"
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI"}
SONNET, OLDER, NOVA = "anthropic.claude-sonnet-5-v1:0", "anthropic.claude-3-5-sonnet-20241022-v2:0", "amazon.nova-pro"
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def build(upstream: str = SONNET, credentials: dict[str, str] | None = None, base: str = BASE, **fields: Any) -> Any:
    request = openai_chat.parse(json.dumps(HELLO | fields).encode())
    target = Target(base, upstream, KEYS if credentials is None else credentials)
    return BEDROCK.build(request, target=target, stream=request.stream, max_tokens=request.max_tokens)


def body(upstream: str = SONNET, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(build(upstream, **fields).body)
    return found


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "session/token=="])
def test_the_signature_is_the_one_that_botocore_makes_at_that_moment(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    now = datetime(2026, 11, 24, 15, 4, 5, tzinfo=UTC)
    request = build(credentials=KEYS | ({"session_token": token} if token else {}))
    signed = dict(request.sign(now))
    theirs = AWSRequest("POST", request.url, {"content-type": "application/json"}, request.body)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    SigV4Auth(Credentials(*KEYS.values(), token), "bedrock", "eu-central-1").add_auth(theirs)
    assert signed["authorization"] == theirs.headers["Authorization"]
    assert signed["x-amz-date"] == theirs.headers["X-Amz-Date"] == "20261124T150405Z"
    assert signed.get("x-amz-security-token") == token
    assert "/20261124/eu-central-1/bedrock/aws4_request" in signed["authorization"]


def test_a_bearer_key_needs_no_signature_and_no_credentials_none() -> None:
    assert build(credentials={"api_key": "k"}).sign is None
    assert ("authorization", "Bearer k") in build(credentials={"api_key": "k"}).headers
    assert build(credentials={}).sign is None


def test_a_region_that_the_address_does_not_name_must_be_given() -> None:
    gateway = "https://gateway.example.test"
    with pytest.raises(UpstreamError, match="region") as caught:
        build(base=gateway)
    assert (caught.value.kind, caught.value.retryable) == ("auth", True)
    signed = build(credentials=KEYS | {"region": "us-west-2"}, base=gateway).sign(datetime.now(UTC))
    assert "/us-west-2/bedrock/" in dict(signed)["authorization"]


# --- requests ---------------------------------------------------------------------------------------------------------


def test_each_model_gets_only_what_it_takes() -> None:
    asked = {"temperature": 1.5, "top_p": 0.9, "top_k": 5, "stop": ["a", " "], "max_tokens": 9}
    assert body(SONNET, **asked)["inferenceConfig"] == {"maxTokens": 9, "stopSequences": ["a"]}
    older = body(OLDER, **asked)
    assert older["inferenceConfig"] == {"maxTokens": 9, "temperature": 1, "topP": 0.9, "stopSequences": ["a"]}
    assert older["additionalModelRequestFields"] == {"top_k": 5}
    assert "additionalModelRequestFields" not in body(NOVA, **asked)


def test_thinking_is_asked_for_in_each_makers_words() -> None:
    effort = {"reasoning": {"effort": "high"}, "max_tokens": 10_000}
    adaptive = body(SONNET, **effort)
    assert adaptive["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert adaptive["outputConfig"] == {"effort": "high"}
    budget = body("anthropic.claude-sonnet-4-5-20250929-v1:0", **effort)["additionalModelRequestFields"]
    assert budget == {"thinking": {"type": "enabled", "budget_tokens": 8_000}}
    assert body("openai.gpt-oss-120b", **effort)["additionalModelRequestFields"] == {"reasoning_effort": "high"}
    assert "additionalModelRequestFields" not in body(NOVA, **effort)
    assert "additionalModelRequestFields" not in body(SONNET, reasoning={"effort": "none"})


def test_tools_in_the_history_are_defined_even_where_none_may_be_called() -> None:
    call = {"id": "an id, too odd", "type": "function", "function": {"name": "look", "arguments": "[1]"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "4"},
        {"role": "user", "content": "And?"},
    ]
    written = body(messages=messages)
    assert [turn["role"] for turn in written["messages"]] == ["user", "assistant", "user"]
    use = written["messages"][1]["content"][0]["toolUse"]
    assert use["input"] == {"arguments": [1]}
    result, words = written["messages"][2]["content"]
    assert result["toolResult"]["toolUseId"] == use["toolUseId"]
    assert words == {"text": "And?"}
    assert written["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look"
    for choice, meant in [("required", {"any": {}}), (TOOL | {"type": "function"}, {"tool": {"name": "look"}})]:
        assert body(tools=[TOOL], tool_choice=choice)["toolConfig"]["toolChoice"] == meant
    assert "toolConfig" not in body(tools=[TOOL], tool_choice="none")


def test_marks_schemas_and_documents_have_forms_of_their_own() -> None:
    parts = [
        {"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}},
        {"type": "file", "file": {"filename": "my_invoice (2).pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]
    content = body(messages=[{"role": "user", "content": parts}])["messages"][0]["content"]
    assert content[1] == {"cachePoint": {"type": "default"}}
    assert content[2]["document"]["name"] == "my invoice (2)"
    only = body(messages=[{"role": "user", "content": parts[1:]}])["messages"][0]["content"]
    assert only[1]["text"]  # a document alone is refused
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    structure = {"jsonSchema": {"schema": '{"type":"object"}', "name": "x"}}
    assert body(response_format=schema)["outputConfig"]["textFormat"]["structure"] == structure


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://files.example.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}},
        {"type": "video_url", "video_url": {"url": "https://files.example.test/a.mp4"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ],
)
def test_what_it_cannot_carry_is_for_another_endpoint(part: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        build(messages=[{"role": "user", "content": [part]}])
    assert (caught.value.kind, caught.value.retryable) == ("invalid", True)


def test_signed_thoughts_come_back_as_they_were() -> None:
    chunk = BEDROCK.parse_answer(cases_of("bedrock_converse")["reasoning"].answer)
    hidden = {"type": "reasoning.encrypted", "data": "AAAA", "format": "bedrock-converse-v1", "index": 1}
    unsigned = {"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1", "index": 2}
    details = [*chunk.reasoning_details, hidden, unsigned]
    turn = {"role": "assistant", "content": chunk.text, "reasoning_details": details}
    written = body(messages=[*HELLO["messages"], turn, *HELLO["messages"]])["messages"][1]["content"]
    assert written == [
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"reasoningContent": {"reasoningText": {"text": "Two plus two is four.", "signature": "c2ln"}}},
        {"text": "4"},
    ]


# --- streams and failures ---------------------------------------------------------------------------------------------


def test_thoughts_and_a_call_without_arguments_in_a_stream() -> None:
    def delta(place: int, **said: Any) -> bytes:
        return frame("contentBlockDelta", {"contentBlockIndex": place, "delta": said})

    use = {"toolUse": {"toolUseId": "t1", "name": "look"}}
    frames = [
        delta(0, reasoningContent={"text": "Hm"}),
        delta(0, reasoningContent={"signature": "c2ln"}),
        delta(1, reasoningContent={"redactedContent": "AAAA"}),
        frame("contentBlockStart", {"contentBlockIndex": 2, "start": use}),
        frame("contentBlockStop", {"contentBlockIndex": 2}),
        frame("messageStop", {"stopReason": "tool_use"}),
    ]
    got = joined(stream("bedrock_converse", b"".join(frames)))
    assert got["reasoning"] == "Hm"
    assert got["tool_calls"] == [{"id": "t1", "name": "look", "arguments": {}}]
    kinds = ["reasoning.text", "reasoning.text", "reasoning.encrypted"]
    assert [detail["type"] for detail in got["details"]] == kinds
    assert got["usage"] is None  # no metadata came: our own count is charged


FAILURES = [
    ("throttlingException", 429, "rate_limited", True, "Slow down"),
    ("modelStreamErrorException", 424, "unavailable", True, "Broken"),
    ("serviceUnavailableException", 503, "unavailable", True, "Later"),
    ("validationException", 400, "invalid", False, "Malformed input request"),
    ("validationException", 400, "context_length", False, "Input is too long for requested model."),
    ("validationException", 400, "not_found", True, "The provided model identifier is invalid."),
    ("accessDeniedException", 403, "auth", True, "Not yours"),
]


@pytest.mark.parametrize(("name", "status", "kind", "retryable", "message"), FAILURES)
def test_a_failure_reads_the_same_as_an_answer_and_inside_a_stream(
    name: str, status: int, kind: str, retryable: bool, message: str
) -> None:
    headers = {"x-amzn-errortype": f"{name[0].upper()}{name[1:]}:http://internal.amazon.com/"}
    refused = BEDROCK.error(status=status, headers=headers, body=json.dumps({"message": message}).encode())
    begun = frame("messageStart", {"role": "assistant"})
    with pytest.raises(UpstreamError) as caught:
        stream("bedrock_converse", begun + frame(name, {"message": message}, kind="exception"))
    for error in (refused, caught.value):
        assert (error.status, error.kind, error.retryable, error.message) == (status, kind, retryable, message)


@pytest.mark.parametrize(
    "data",
    [
        b"data: hello, I am no frame at all\n\n",
        frame("messageStop", {"stopReason": "end_turn"})[:-1] + b"x",
        frame("metadata", {})[:8] + b"\0\0\0\0" + frame("metadata", {})[12:],
    ],
)
def test_a_frame_whose_sums_are_wrong_is_malformed(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        stream("bedrock_converse", data)
    assert (caught.value.kind, caught.value.retryable) == ("malformed", True)


def test_a_frame_that_never_ends_is_given_up() -> None:
    endless = frame("contentBlockDelta", {"delta": {"text": "x" * 8_000_000}})
    with pytest.raises(UpstreamError, match="too large"):
        stream("bedrock_converse", *pieces(endless, 65_536))


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"output": {"message": {"content": []}}}'])
def test_what_is_no_answer_is_malformed(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        BEDROCK.parse_answer(data)
    assert (caught.value.kind, caught.value.retryable) == ("malformed", True)


def test_a_model_that_wrote_nonsense_is_a_failure() -> None:
    data = {"output": {"message": {"content": []}}, "stopReason": "malformed_tool_use"}
    with pytest.raises(UpstreamError, match="malformed_tool_use") as caught:
        BEDROCK.parse_answer(json.dumps(data).encode())
    assert caught.value.retryable
