"""Answers in Gemini's dialect against its golden files and its traps, wherever the bytes are cut."""

import json
from typing import Any

import pytest

from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError, Usage
from routing.selection.candidates import quantities
from tests.routing.adapters.reading import joined, pieces, stream
from tests.routing.golden import Case, cases_of

GOLDEN = cases_of("gemini")
GEMINI = adapter_for("gemini")
PLAIN = [c for c in GOLDEN.values() if c.status == 200 and not c.is_stream and c.name != "prompt_blocked"]
STREAMS = [case for case in GOLDEN.values() if case.is_stream]


def check(case: Case, got: dict[str, Any]) -> None:
    expected = case.expected
    calls = [one | {"id": None} for one in got["tool_calls"]]
    assert (got["text"], calls) == (expected["text"], expected["tool_calls"])
    assert got["native_finish_reason"] == expected["finish_reason"] == "STOP"
    assert got["finish_reason"] == ("tool_calls" if calls else "stop")
    thoughts = 12 if case.name == "tool_call" else 0  # beside candidatesTokenCount, and billed with it
    usage = expected["usage"]
    assert got["usage"] == Usage(usage["input"], usage["output"] + thoughts, reasoning_tokens=thoughts)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_plain_answer_is_read(case: Case) -> None:
    check(case, joined([GEMINI.parse_answer(case.answer)]))


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_is_read_wherever_its_bytes_are_cut(case: Case) -> None:
    assert b"\r\n" in case.answer
    whole = stream("gemini", case.answer)
    check(case, joined(whole))
    assert stream("gemini", case.answer.replace(b"\r\n", b"\n")) == whole
    for size in (1, 3, 7, 64):
        assert stream("gemini", *pieces(case.answer, size)) == whole
    for at in range(len(case.answer)):
        assert stream("gemini", case.answer[:at], case.answer[at:]) == whole, at


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_that_ends_before_its_finish_reason_is_a_cut(case: Case) -> None:
    events = case.answer.strip().split(b"\r\n\r\n")
    for count in range(len(events)):
        for rest in (b"", events[count][: len(events[count]) // 2]):
            with pytest.raises(UpstreamError) as caught:
                stream("gemini", b"\r\n\r\n".join(events[:count]) + b"\r\n\r\n" + rest)
            assert (caught.value.kind, caught.value.retryable) == ("cut", True)


def test_the_usage_of_a_stream_is_the_last_one_and_comes_once() -> None:
    chunks = stream("gemini", GOLDEN["stream_text"].answer)
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(21, 7)]


# --- traps ------------------------------------------------------------------------------------------------------------


def body(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "responseId": "r1"} | more


def read(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return joined([GEMINI.parse_answer(json.dumps(body(*parts, **more)).encode())])


def events(*data: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in data)


def test_thoughts_are_not_among_the_candidates_tokens_but_cached_ones_are_among_the_prompts() -> None:
    counts = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 30,
    }
    usage = read({"text": "4"}, usageMetadata=counts)["usage"]
    assert usage == Usage(105, 37, cached_tokens=40, reasoning_tokens=30)
    prices = {"prompt": 1, "completion": 1, "cached_read": 1, "reasoning": 1}
    assert quantities(usage, prices) == {"prompt": 65, "cached_read": 40, "completion": 7, "reasoning": 30}
    assert read({"text": "4"}, usageMetadata=counts | {"promptTokenCount": -1})["usage"] is None
    assert read({"text": "4"})["usage"] is None


def test_a_blocked_prompt_has_no_candidates_and_is_no_failure() -> None:
    case = GOLDEN["prompt_blocked"]
    for got in (
        joined([GEMINI.parse_answer(case.answer)]),
        joined(stream("gemini", b"data: " + case.answer + b"\r\n\r\n")),
    ):
        assert (got["text"], got["finish_reason"], got["native_finish_reason"]) == (
            "",
            "content_filter",
            "PROHIBITED_CONTENT",
        )
        assert got["usage"] == Usage(1, 0)


@pytest.mark.parametrize(
    ("native", "ours"),
    [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("NEW_WORD", "stop")],
)
def test_the_ends_have_our_names(native: str, ours: str) -> None:
    got = read({"text": "4"}, finish=native)
    assert (got["finish_reason"], got["native_finish_reason"]) == (ours, native)


@pytest.mark.parametrize("native", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE", "OTHER"])
def test_an_end_that_is_a_failure_is_tried_elsewhere(native: str) -> None:
    with pytest.raises(UpstreamError) as plain:
        read(finish=native)
    with pytest.raises(UpstreamError) as streamed:
        stream("gemini", events(body({"text": "4"}, finish=None), body(finish=native)))
    for caught in (plain, streamed):
        assert (caught.value.retryable, caught.value.provider_code) == (True, native)


def test_stop_after_a_call_in_an_earlier_piece_is_a_call() -> None:
    call = {"functionCall": {"name": "now", "args": {}}}
    got = joined(stream("gemini", events(body(call, finish=None), body({"text": ""}))))
    assert (got["finish_reason"], got["native_finish_reason"]) == ("tool_calls", "STOP")


def test_calls_without_ids_get_some_that_tell_them_apart_and_never_change() -> None:
    calls = [{"functionCall": {"name": "now", "args": {"zone": "UTC"}}}] * 2
    first = read(*calls)["tool_calls"]
    assert first == read(*calls)["tool_calls"]
    assert len({one["id"] for one in first}) == 2
    pieces_of_it = events(body(calls[0], finish=None), body(calls[1]))
    assert joined(stream("gemini", pieces_of_it))["tool_calls"] == first
    assert read(*calls, responseId="r2")["tool_calls"][0]["id"] != first[0]["id"]
    own = {"functionCall": {"name": "now", "args": {}, "id": "theirs"}}
    assert read(own)["tool_calls"][0]["id"] == "theirs"


def test_signatures_are_kept_beside_the_call_that_they_belong_to() -> None:
    got = read(
        {"text": "Hm.", "thought": True},
        {"text": "Checking.", "thoughtSignature": "d29yZHM="},
        {"functionCall": {"name": "now", "id": "c1"}, "thoughtSignature": "c2ln"},
    )
    assert (got["text"], got["reasoning"]) == ("Checking.", "Hm.")
    kept = {"type": "reasoning.encrypted", "format": "google-gemini-v1", "index": 0}
    assert got["details"] == [
        {"type": "reasoning.text", "text": "Hm.", "format": "google-gemini-v1", "index": 0},
        kept | {"data": "d29yZHM="},
        kept | {"data": "c2ln", "id": "c1"},
    ]


def test_a_drawn_image_is_carried() -> None:
    answer = body({"inlineData": {"mimeType": "image/png", "data": "_-8="}})
    chunk = GEMINI.parse_answer(json.dumps(answer).encode())
    assert chunk.extra["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,/+8="}}]


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"candidates": []}', b'{"candidates": [{}]}'])
def test_what_is_no_answer_is_malformed(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        GEMINI.parse_answer(data)
    assert (caught.value.kind, caught.value.retryable) == ("malformed", True)


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: []\n\n", b'data: {"choices": []}\n\n'])
def test_what_is_no_event_is_malformed(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        stream("gemini", data)
    assert caught.value.kind == "malformed"


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "retryable", "wait"),
    [
        ("error_400", "invalid", False, None),
        ("error_429", "rate_limited", True, 34.4),  # told in RetryInfo, not in a header
        ("error_503", "unavailable", True, None),
    ],
)
def test_a_refused_request_is_understood(name: str, kind: str, retryable: bool, wait: float | None) -> None:
    case = GOLDEN[name]
    listed = b"[" + case.answer + b"]"  # as it comes to those who asked for a stream
    for answer in (case.answer, listed):
        error = GEMINI.error(status=case.status, headers={}, body=answer)
        assert (error.kind, error.retryable, error.status, error.retry_after) == (kind, retryable, case.status, wait)
        said = case.data["response"]["body"]["error"]
        assert (error.message, error.provider_code) == (said["message"], said["status"])


@pytest.mark.parametrize(
    ("message", "kind", "retryable"),
    [
        ("API key not valid. Please pass a valid API key.", "auth", True),
        ("The input token count (2) exceeds the maximum number of tokens allowed (1).", "context_length", False),
        ("User location is not supported for the API use.", "auth", True),
        ("Unable to process input image.", "invalid", False),
    ],
)  # fmt: skip
def test_the_words_of_an_invalid_request_are_read(message: str, kind: str, retryable: bool) -> None:
    answer = json.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}).encode()
    error = GEMINI.error(status=400, headers={}, body=answer)
    assert (error.kind, error.retryable) == (kind, retryable)


def test_an_error_inside_a_stream_that_began_well_is_an_error() -> None:
    broken = events(body({"text": "4"}, finish=None), GOLDEN["error_503"].data["response"]["body"])
    for size in (1, 50, 10_000):
        with pytest.raises(UpstreamError, match="overloaded") as caught:
            stream("gemini", *pieces(broken, size))
        assert (caught.value.kind, caught.value.retryable, caught.value.status) == ("unavailable", True, 503)
    with pytest.raises(UpstreamError, match="overloaded"):
        GEMINI.parse_answer(GOLDEN["error_503"].answer)
