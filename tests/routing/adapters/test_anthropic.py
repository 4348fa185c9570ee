"""Answers in Anthropic's dialect against its golden files and its traps, wherever the bytes are cut."""

import json
from typing import Any

import pytest

from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError, Usage
from routing.selection.candidates import quantities
from tests.routing.adapters.reading import joined, pieces, stream
from tests.routing.golden import Case, cases_of

GOLDEN = cases_of("anthropic")
ANTHROPIC = adapter_for("anthropic")
PLAIN = [case for case in GOLDEN.values() if case.status == 200 and not case.is_stream]
STREAMS = [case for case in GOLDEN.values() if case.is_stream and "expected" in case.data]
FINISHES = {"end_turn": "stop", "tool_use": "tool_calls", "refusal": "content_filter"}


def check(case: Case, got: dict[str, Any]) -> None:
    expected = case.expected
    assert (got["text"], got["reasoning"] or None) == (expected["text"], expected["reasoning"])
    assert got["tool_calls"] == expected["tool_calls"]
    assert got["native_finish_reason"] == expected["finish_reason"]
    assert got["finish_reason"] == FINISHES[expected["finish_reason"]]
    assert got["usage"] == Usage(expected["usage"]["input"], expected["usage"]["output"])


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_plain_answer_is_read(case: Case) -> None:
    check(case, joined([ANTHROPIC.parse_answer(case.answer)]))


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_is_read_wherever_its_bytes_are_cut(case: Case) -> None:
    whole = stream("anthropic", case.answer)
    check(case, joined(whole))
    assert stream("anthropic", case.answer.replace(b"\n", b"\r\n")) == whole
    for size in (1, 3, 7, 64):
        assert stream("anthropic", *pieces(case.answer, size)) == whole
    for at in range(len(case.answer)):
        assert stream("anthropic", case.answer[:at], case.answer[at:]) == whole, at


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_only_message_stop_is_a_clean_end(case: Case) -> None:
    events = case.answer.strip().split(b"\n\n")
    for count in range(len(events)):
        with pytest.raises(UpstreamError) as caught:
            stream("anthropic", b"\n\n".join(events[:count]) + b"\n\n")
        assert (caught.value.kind, caught.value.retryable) == ("cut", True)
    with pytest.raises(UpstreamError, match="cut off"):  # an end that does not say why
        stream("anthropic", b"\n\n".join([*events[:-2], events[-1]]) + b"\n\n")


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(**fields: Any) -> bytes:
    body = {"type": "message", "content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn"}
    return json.dumps(body | fields).encode()


def events(*data: dict[str, Any]) -> bytes:
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in data)


def test_cached_tokens_stand_beside_the_input_and_are_put_into_it() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 1_000,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    got = ANTHROPIC.parse_answer(answer(usage=usage)).usage
    assert got == Usage(1_110, 7, cached_tokens=100, cache_write_tokens=1_000, reasoning_tokens=3)
    prices = {"prompt": 1, "completion": 1, "cached_read": 1, "cached_write": 1}
    assert quantities(got, prices) == {"prompt": 10, "cached_read": 100, "cached_write": 1_000, "completion": 7}


def test_a_streams_usage_is_split_over_its_events_and_comes_once() -> None:
    begun = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 1}
    chunks = stream(
        "anthropic",
        events(
            {"type": "message_start", "message": {"usage": begun}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
        ),
    )
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(110, 9, cached_tokens=100)]


def test_a_usage_that_makes_no_sense_is_none() -> None:
    assert ANTHROPIC.parse_answer(answer(usage={"input_tokens": -1, "output_tokens": 7})).usage is None
    assert ANTHROPIC.parse_answer(answer()).usage is None


def test_a_refusal_is_told_with_its_reason() -> None:
    got = joined([ANTHROPIC.parse_answer(GOLDEN["refusal"].answer)])
    assert (got["refusal"], got["finish_reason"]) == ("Blocked.", "content_filter")
    stop = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Blocked."}}
    streamed = stream(
        "anthropic",
        events({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}}, {"type": "message_stop"}),
    )
    assert joined(streamed)["refusal"] == "Blocked."


def test_a_tool_without_arguments_gets_an_empty_object_also_in_a_stream() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    whole = {"id": "toolu_1", "name": "now", "arguments": {}}
    assert joined([ANTHROPIC.parse_answer(answer(content=[block], stop_reason="tool_use"))])["tool_calls"] == [whole]

    def streamed(**more: Any) -> Any:
        body = events(
            {"type": "content_block_start", "index": 3, "content_block": block | more},
            {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": ""}},
            {"type": "content_block_stop", "index": 3},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
            {"type": "message_stop"},
        )
        return joined(stream("anthropic", body))["tool_calls"]

    assert streamed() == [whole]
    assert streamed(input={"zone": "UTC"}) == [whole | {"arguments": {"zone": "UTC"}}]  # some makers send it at once


def test_parallel_calls_are_told_apart() -> None:
    blocks = [
        {"type": "tool_use", "id": f"toolu_{city}", "name": "get_weather", "input": {"city": city}}
        for city in ("Oslo", "Rome")
    ]
    got = joined([ANTHROPIC.parse_answer(answer(content=blocks, stop_reason="tool_use"))])
    assert [one["arguments"]["city"] for one in got["tool_calls"]] == ["Oslo", "Rome"]
    sent: list[dict[str, Any]] = []
    for place, block in enumerate(blocks):
        sent.append({"type": "content_block_start", "index": place, "content_block": block | {"input": {}}})
        half = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        sent.append({"type": "content_block_delta", "index": place, "delta": half})
        sent.append({"type": "content_block_stop", "index": place})
    sent += [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
    assert joined(stream("anthropic", events(*sent)))["tool_calls"] == got["tool_calls"]


def test_events_and_blocks_that_we_do_not_know_are_passed_over() -> None:
    body = events(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "id": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "brand_new"},
        {"type": "message_delta", "delta": {"stop_reason": "brand_new"}},
        {"type": "message_stop"},
    )
    got = joined(stream("anthropic", body))
    assert (got["text"], got["finish_reason"], got["native_finish_reason"]) == ("Hi", "stop", "brand_new")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"content": null}', b'{"content": []}', b'{"content": [{"type": "tool_use"}]}']
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        ANTHROPIC.parse_answer(body)
    assert (caught.value.kind, caught.value.retryable) == ("malformed", True)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b'data: {"choices": []}\n\n',
        b'data: {"type": "content_block_stop"}\n\n',
        b'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "x"}}\n\n',
    ],
)
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        stream("anthropic", body)
    assert caught.value.kind == "malformed"


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("error_400", "invalid", False),
        ("error_401", "auth", True),
        ("error_429", "rate_limited", True),
        ("error_529", "unavailable", True),
    ],
)
def test_a_refused_request_is_understood(name: str, kind: str, retryable: bool) -> None:
    case = GOLDEN[name]
    error = ANTHROPIC.error(status=case.status, headers=case.data["response"]["headers"], body=case.answer)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, case.status)
    said = case.data["response"]["body"]["error"]
    assert (error.message, error.provider_code) == (said["message"], said["type"])
    assert error.retry_after == (3.0 if name == "error_429" else None)


@pytest.mark.parametrize(
    ("message", "kind", "retryable"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", "context_length", False),
        ("input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000", "context_length", False),
        ("Your credit balance is too low to access the Anthropic API.", "credit", True),
        ("Output blocked by content filtering policy", "content_policy", False),
        ("messages.0: unexpected role", "invalid", False),
    ],
)
def test_the_words_of_an_invalid_request_are_read(message: str, kind: str, retryable: bool) -> None:
    body = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": message}}).encode()
    error = ANTHROPIC.error(status=400, headers={}, body=body)
    assert (error.kind, error.retryable) == (kind, retryable)


def test_an_unreadable_refusal_still_says_its_status() -> None:
    error = ANTHROPIC.error(status=502, headers={}, body=b"<html>Bad gateway</html>")
    assert (error.kind, error.retryable, error.status) == ("unavailable", True, 502)


def test_an_error_inside_a_stream_that_began_well_is_an_error() -> None:
    case = GOLDEN["stream_error_overloaded"]
    for size in (1, 50, 10_000):
        with pytest.raises(UpstreamError, match="Overloaded") as caught:
            stream("anthropic", *pieces(case.answer, size))
        assert (caught.value.kind, caught.value.retryable, caught.value.status) == ("unavailable", True, 529)
    limited = b'event: error\ndata: {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}}\n\n'
    with pytest.raises(UpstreamError) as caught:
        stream("anthropic", limited)
    assert caught.value.kind == "rate_limited"
    with pytest.raises(UpstreamError, match="Overloaded"):
        ANTHROPIC.parse_answer(b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}')
