"""Every OpenAI-alike against its golden files: exact requests out, exact answers in, wherever the bytes are cut."""

import json
from itertools import pairwise
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.registry import ADAPTERS, adapter_for
from routing.canonical import Chunk, UpstreamError, Usage
from routing.ingress import openai_chat
from tests.routing.golden import ANSWERS, CASES, EVERY, REFUSALS, Case

TARGET = Target("https://provider.example.test/v1/", "their-model", {"api_key": "secret"})


def joined(chunks: list[Chunk]) -> dict[str, Any]:
    """What the caller has in hand at the end, in the golden files' terms."""
    calls: dict[int, dict[str, Any]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.setdefault(delta.index, {"id": None, "name": None, "arguments": ""})
        call["id"] = delta.id or call["id"]
        call["name"] = delta.name or call["name"]
        call["arguments"] += delta.arguments
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    return {
        "text": "".join(chunk.text for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks) or None,
        "tool_calls": [call | {"arguments": json.loads(call["arguments"])} for call in calls.values()],
        "finish_reason": next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None),
        "usage": usages[-1] if usages else None,
    }


def wanted(case: Case) -> dict[str, Any]:
    expected = case.expected
    output = expected["usage"]["output"]
    if case.kind == "xai":
        output += 4  # its completion_tokens leave the thoughts out
    return {
        "text": expected["text"] or "",
        "reasoning": expected["reasoning"],
        "tool_calls": expected["tool_calls"],
        "finish_reason": {"eos": "stop"}.get(expected["finish_reason"], expected["finish_reason"]),
        "usage": (expected["usage"]["input"], output),
    }


def check(case: Case, chunks: list[Chunk]) -> None:
    got = joined(chunks)
    assert isinstance(got["usage"], Usage)
    got["usage"] = (got["usage"].prompt_tokens, got["usage"].completion_tokens)
    assert got == wanted(case)


def stream(case: Case, *pieces: bytes) -> list[Chunk]:
    parser = adapter_for(case.kind).stream_parser()
    chunks = [chunk for piece in pieces for chunk in parser.feed(piece)]
    return chunks + parser.finish()


@pytest.mark.parametrize("case", [case for case in ANSWERS if not case.is_stream], ids=str)
def test_a_plain_answer_is_read(case: Case) -> None:
    check(case, [adapter_for(case.kind).parse_answer(case.answer)])


STREAMS = [case for case in ANSWERS if case.is_stream]


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_is_read(case: Case) -> None:
    check(case, stream(case, case.answer))


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_is_read_byte_by_byte(case: Case) -> None:
    assert stream(case, *(case.answer[i : i + 1] for i in range(len(case.answer)))) == stream(case, case.answer)


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_with_other_line_ends_reads_the_same(case: Case) -> None:
    assert stream(case, case.answer.replace(b"\n", b"\r\n")) == stream(case, case.answer)


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_cut_anywhere_in_two_reads_the_same(case: Case) -> None:
    whole = stream(case, case.answer)
    for at in range(0, min(len(case.answer), 4096)):
        assert stream(case, case.answer[:at], case.answer[at:]) == whole, at


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_that_stops_before_its_finish_reason_is_a_cut(case: Case) -> None:
    events = case.answer.split(b"\n\n")
    last = next(i for i, event in enumerate(events) if b'"finish_reason":"' in event)
    for count in range(last):
        with pytest.raises(UpstreamError) as caught:
            stream(case, b"\n\n".join(events[:count]) + b"\n\n")
        assert (caught.value.kind, caught.value.retryable) == ("cut", True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_request_is_built_as_the_providers_sdk_does(case: Case) -> None:
    request = openai_chat.parse(json.dumps(_as_a_caller_writes(case)).encode())
    built = adapter_for(case.kind).build(request, target=TARGET, stream=request.stream, max_tokens=request.max_tokens)
    assert json.loads(built.body) == _as_we_write(case)
    assert (built.url.removeprefix("https://provider.example.test/v1"), built.headers[-1]) == PLACES.get(
        case.kind, ("/chat/completions", ("authorization", "Bearer secret"))
    )


PLACES = {
    "azure_openai": (
        "/openai/deployments/their-model/chat/completions?api-version=2024-10-21",
        ("api-key", "secret"),
    )
}


def _as_a_caller_writes(case: Case) -> dict[str, Any]:
    """The provider's own words turned back into ours, where they differ."""
    body = json.loads(json.dumps(case.request))
    body["seed"] = body.pop("random_seed", None)
    if "enable_thinking" in body:
        body["reasoning"] = {"enabled": body.pop("enable_thinking")}
    return body


def _as_we_write(case: Case) -> dict[str, Any]:
    body = json.loads(json.dumps(case.request))
    body["model"] = "their-model"
    if body.get("stream") is False:  # the default needs no word
        del body["stream"]
    for message in body["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else []:
            if isinstance(part.get("image_url"), str):  # Mistral takes both forms
                part["image_url"] = {"url": part["image_url"]}
    if case.kind == "deepseek" and body.get("stream"):
        body["stream_options"] = {"include_usage": True}  # known to it, and harmless
    return body


@pytest.mark.parametrize("case", REFUSALS, ids=str)
def test_a_refusal_is_understood(case: Case) -> None:
    error = adapter_for(case.kind).error(status=case.status, headers={}, body=case.answer)
    body = case.data["response"]["body"]
    said = body["detail"][0]["msg"] if "detail" in body else None
    said = said or (body["error"] if isinstance(body.get("error"), str) else (body.get("error") or body)["message"])
    assert error.message.startswith(said)
    kinds = {
        "error_400_context": ("context_length", False),
        "error_401": ("auth", True),
        "error_402": ("credit", True),
        "error_422": ("invalid", False),
        "error_deployment_not_found": ("not_found", True),
    }
    assert (error.kind, error.retryable) == kinds.get(case.name, ("invalid", False))


def test_deepseek_running_out_of_machines_is_a_failure_not_an_answer() -> None:
    case = next(case for case in CASES if case.name == "finish_insufficient_resource")
    with pytest.raises(UpstreamError) as caught:
        adapter_for("deepseek").parse_answer(case.answer)
    assert caught.value.retryable


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_registered_dialect_loads_and_has_golden_files(kind: str) -> None:
    assert adapter_for(kind).kind == kind
    assert kind == "generic" or any(case.kind == kind for case in EVERY)


def test_pieces_of_three_sizes_read_the_same() -> None:
    for case in STREAMS:
        for size in (3, 7, 64):
            places = [*range(0, len(case.answer), size), len(case.answer)]
            assert stream(case, *(case.answer[a:b] for a, b in pairwise(places))) == stream(case, case.answer)
