"""Every public dialect over every provider's dialect: what goes in arrives, what comes back can be read.

A cell of the matrix is a dialect that callers speak, a dialect that a provider speaks, and what is at stake:
text, images, tools, results, answers plain and streamed with their usage, refusals, errors. The providers'
answers are the golden files; callers read ours as they would read their own maker's.
"""

from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from marketplace.lib import envelopes
from routing.adapters.base import Target
from routing.adapters.registry import ADAPTERS, adapter_for
from routing.canonical import Chunk, UpstreamError, Usage
from routing.ingress.openai_chat_answers import Bill
from routing.services.failures import failure
from routing.services.routes import Route
from tests.routing.dialects import CHAT, COHERE, DIALECTS, GEMINI, MESSAGES, PIXEL, QUESTION, RESULT, Dialect
from tests.routing.golden import EVERY, Case

TARGET = Target("https://provider.example.test/v1", "their-model", {"api_key": "secret"})
SOUND = [case for case in EVERY if case.kind in ADAPTERS and case.status == 200]
REFUSED = [case for case in EVERY if case.kind in ADAPTERS and case.status != 200]
# What a provider's failure is read as from the status and body that our callers get.
SAME = {"rate_limited": {"rate_limited"}, "invalid": {"invalid"}, "context_length": {"context_length", "invalid"}}
OURS = {"unavailable", "timeout", "rate_limited"}


def chunks_of(case: Case) -> list[Chunk]:
    """The canonical answer; none where the provider says that it failed."""
    adapter = adapter_for(case.kind)
    try:
        if not case.is_stream:
            return [adapter.parse_answer(case.answer)]
        parser = adapter.stream_parser()
        return [*parser.feed(case.answer), *parser.finish()]
    except UpstreamError:
        return []


ANSWERS = {str(case): chunks for case in SOUND if (chunks := chunks_of(case))}


def in_hand(chunks: list[Chunk]) -> dict[str, Any]:
    """What a caller has at the end."""
    calls: dict[int, list[Any]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.setdefault(delta.index, [None, ""])
        call[0] = delta.name or call[0]
        call[1] += delta.arguments
    usage = next(chunk.usage for chunk in reversed(chunks) if chunk.usage)
    return {
        "words": "".join(chunk.text + chunk.refusal for chunk in chunks),
        "thoughts": "".join(chunk.reasoning for chunk in chunks),
        "calls": [(name, json.loads(arguments or "{}")) for name, arguments in calls.values()],
        "end": [chunk.finish_reason for chunk in chunks if chunk.finish_reason],
        "usage": (usage.prompt_tokens, usage.completion_tokens),
    }


def bill_for(chunks: list[Chunk]) -> Bill:
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None) or Usage(3, 4, source="counted")
    return Bill(usage, 1_050_001, 1_000_001, 50_000)


def expected(chunks: list[Chunk]) -> dict[str, Any]:
    bill = bill_for(chunks)
    wanted = in_hand([*chunks, Chunk(usage=bill.usage)])
    if wanted["calls"] and wanted["end"] == ["stop"]:
        wanted["end"] = ["tool_calls"]
    return wanted


def whole(chunks: list[Chunk]) -> Chunk:
    """A stream's pieces as the plain answer that they make."""
    calls: dict[int, Any] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        known = calls.get(delta.index)
        calls[delta.index] = (
            delta
            if known is None
            else type(delta)(delta.index, known.id, known.name, known.arguments + delta.arguments)
        )
    details = tuple(detail for chunk in chunks for detail in chunk.reasoning_details)
    return Chunk(
        text="".join(chunk.text for chunk in chunks),
        reasoning="".join(chunk.reasoning for chunk in chunks),
        reasoning_details=details,
        tool_calls=tuple(calls.values()),
        refusal="".join(chunk.refusal for chunk in chunks),
        finish_reason=next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None),
        native_finish_reason=next((c.native_finish_reason for c in chunks if c.native_finish_reason), None),
    )


# Legacy completions have no calls: such an answer cannot be asked for there.
CELLS = [
    pytest.param(dialect, case, id=f"{dialect}-{case}")
    for dialect in DIALECTS
    for case, chunks in ANSWERS.items()
    if dialect.has_tools or not expected(chunks)["calls"]
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_is_asked_arrives(dialect: Dialect, kind: str) -> None:
    said = {"text": [QUESTION], "image": [QUESTION, PIXEL], "tools": ["get_weather", "city"]}
    said["results"] = [QUESTION, "get_weather", "Oslo", RESULT]
    for scenario in dialect.bodies:
        for stream in (False, True):
            sent = adapter_for(kind).build(dialect.request(scenario), target=TARGET, stream=stream, max_tokens=64)
            body = json.dumps(json.loads(sent.body))
            for words in said[scenario]:
                assert words in body, (scenario, words)


@pytest.mark.parametrize(("dialect", "case"), CELLS)
def test_a_plain_answer_is_read_as_it_was_meant(dialect: Dialect, case: str) -> None:
    chunks = ANSWERS[case]
    wanted = expected(chunks)
    got = in_hand(dialect.plain(dialect.writer().answer(whole(chunks), bill_for(chunks))))
    assert got == wanted


@pytest.mark.parametrize(("dialect", "case"), CELLS)
def test_a_stream_is_read_as_it_was_meant(dialect: Dialect, case: str) -> None:
    chunks = ANSWERS[case]
    wanted = expected(chunks)
    out = dialect.writer()
    data = b"".join([*(out.chunk(chunk) for chunk in chunks), out.last(bill_for(chunks))])
    assert in_hand(dialect.stream(data)) == wanted


def test_every_cell_has_something_at_stake() -> None:
    """The golden files hold calls, thoughts, streams and answers that were declined: no cell is empty."""
    found = [expected(chunks) for chunks in ANSWERS.values()]
    assert sum(bool(one["calls"]) for one in found) >= 10
    assert sum(bool(one["thoughts"]) for one in found) >= 5
    assert sum(one["end"] == ["content_filter"] for one in found) >= 2
    assert sum(case.is_stream for case in SOUND) >= 15
    assert {len(dialect.bodies) for dialect in DIALECTS if dialect.has_tools} == {4}


@pytest.mark.parametrize(
    ("dialect", "kind"), [(CHAT, "openai_chat"), (MESSAGES, "anthropic"), (GEMINI, "gemini"), (COHERE, "cohere")]
)
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_refusal_is_understood_in_the_callers_dialect(dialect: Dialect, kind: str, case: Case) -> None:
    error = adapter_for(case.kind).error(status=case.status, headers={"retry-after": "3"}, body=case.answer)
    candidate = SimpleNamespace(provider_name="Acme", model="acme/small")
    route = cast(Route, SimpleNamespace(candidate=candidate, target=TARGET))
    ours = failure([(route, error)])
    form = envelopes.written(ours, path=dialect.path, request_id="req-1")
    read = adapter_for(kind).error(status=ours.status, headers={}, body=json.dumps(form.body).encode())
    assert read.kind in SAME.get(error.kind, OURS)
    assert read.message == ours.message
    assert "secret" not in json.dumps(form.body)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_break_is_never_read_as_an_end(dialect: Dialect) -> None:
    out = dialect.writer()
    bill = Bill(Usage(3, 4), 1, 1, 0)
    metadata = {"error_type": "provider_unavailable"}
    data = out.chunk(Chunk(text="Hi")) + out.broken(code=502, message="It broke.", metadata=metadata, bill=bill)
    if dialect in (CHAT, MESSAGES, GEMINI, COHERE):
        with pytest.raises(UpstreamError) as caught:
            dialect.stream(data)
        assert caught.value.kind == "unavailable"
    assert b"It broke." in data
    for end in (b"[DONE]", b"message_stop", b"response.completed", b"finishReason"):
        assert end not in data


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_dialect_reads_what_it_wrote(dialect: Dialect) -> None:
    """The same request through the adapter of the caller's own dialect, where there is one, is the same request."""
    own = {"chat": "openai_chat", "messages": "anthropic", "gemini": "gemini", "cohere": "cohere"}.get(dialect.name)
    for scenario in dialect.bodies if own else ():
        first = dialect.request(scenario)
        sent = adapter_for(str(own)).build(first, target=TARGET, stream=False, max_tokens=None)
        again = dialect.parse(sent.body)
        assert (again.messages, again.tools, again.tool_choice) == (first.messages, first.tools, first.tool_choice)


def test_the_pieces_of_a_stream_may_come_in_any_cut() -> None:
    """What callers are sent does not depend on where the provider's bytes were cut."""
    case = next(case for case in SOUND if case.is_stream and str(case) in ANSWERS)
    outcomes = set()
    for at in range(1, len(case.answer), 7):
        parser = adapter_for(case.kind).stream_parser()
        cuts = pairwise((0, at, len(case.answer)))
        chunks = [chunk for start, end in cuts for chunk in parser.feed(case.answer[start:end])] + parser.finish()
        out = CHAT.writer()
        outcomes.add(b"".join([*(out.chunk(chunk) for chunk in chunks), out.last(bill_for(chunks))]))
    assert len(outcomes) == 1
