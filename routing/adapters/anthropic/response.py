"""Answers and refusals of POST /v1/messages, read."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from routing.adapters import bodies, errors
from routing.adapters.anthropic.blocks import FORMAT
from routing.canonical import Chunk, FinishReason, Json, ToolDelta, UpstreamError, UpstreamKind, Usage

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# The status that an error of this type has, for those inside a stream whose own status was 200.
STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# All of these come as invalid_request_error with status 400; only the words tell them apart.
WORDS: Final[tuple[tuple[re.Pattern[str], UpstreamKind, bool], ...]] = (
    (re.compile(r"prompt is too long|exceed(s|ed)? (the )?context|context window", re.I), "context_length", False),
    (re.compile(r"credit balance is too low", re.I), "credit", True),
    (re.compile(r"content filtering policy", re.I), "content_policy", False),
)


def read_answer(body: bytes) -> Chunk:
    """A message as one chunk. Raises UpstreamError when it is none or says that it failed."""
    data = bodies.read_object(body, "answer")
    if data.get("type") == "error" or data.get("error"):
        raise error_within(data)
    if not isinstance(data.get("content"), list):
        raise bodies.malformed("The provider's answer has no content.")
    text, thoughts = "", ""
    details: list[Mapping[str, Json]] = []
    calls: list[ToolDelta] = []
    for place, block in enumerate(bodies.objects(data, "content")):
        match block.get("type"):
            case "text":
                text += bodies.text(block, "text")
            case "thinking":
                thoughts += bodies.text(block, "thinking")
                signature = {"signature": block["signature"]} if block.get("signature") else {}
                details.append(thought(place, text=bodies.text(block, "thinking"), **signature))
            case "redacted_thinking":
                details.append(redacted(place, bodies.text(block, "data")))
            case "tool_use":
                calls.append(read_call(len(calls), block, orjson.dumps(block.get("input") or {}).decode()))
    native = bodies.text(data, "stop_reason") or None
    if native is None and not (text or calls):
        raise bodies.malformed("The provider's answer is empty.")
    return Chunk(
        text=text,
        reasoning=thoughts,
        reasoning_details=tuple(details),
        tool_calls=tuple(calls),
        refusal=refusal_of(data),
        finish_reason=finish(native),
        native_finish_reason=native,
        usage=read_usage(bodies.inside(data, "usage")),
    )


def thought(place: int, **said: str) -> Mapping[str, Json]:
    """A piece of a thinking block, as callers see and echo it: `text`, `signature` or both."""
    return {"type": "reasoning.text", **said, "format": FORMAT, "index": place}


def redacted(place: int, data: str) -> Mapping[str, Json]:
    """A thinking block that only the provider can read."""
    return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": place}


def read_call(index: int, block: Mapping[str, Json], arguments: str) -> ToolDelta:
    """A tool_use block with its arguments. Raises UpstreamError(kind malformed) where it has no name."""
    name, call_id = bodies.text(block, "name"), bodies.text(block, "id")
    if not name or not call_id:
        raise bodies.malformed("The provider sent a tool call without a name or an id.")
    return ToolDelta(index, call_id, name, arguments)


def refusal_of(data: Mapping[str, Json]) -> str:
    """Why the model declined, where it did and says so."""
    if data.get("stop_reason") != "refusal":
        return ""
    return bodies.text(bodies.inside(data, "stop_details"), "explanation")


def finish(native: str | None) -> FinishReason | None:
    """The end in our words; one that we do not know is still an end."""
    return None if native is None else FINISH_REASONS.get(native, "stop")


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """The usage. Here cached tokens stand beside the input tokens, not among them; ours are among them."""
    fresh, completion = bodies.count(usage, "input_tokens"), bodies.count(usage, "output_tokens")
    if fresh is None or completion is None:
        return None
    cached = bodies.count(usage, "cache_read_input_tokens") or 0
    written = bodies.count(usage, "cache_creation_input_tokens") or 0
    thinking = bodies.count(bodies.inside(usage, "output_tokens_details"), "thinking_tokens") or 0
    return Usage(
        prompt_tokens=fresh + cached + written,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=min(thinking, completion),
    )


def error_within(data: Mapping[str, Json]) -> UpstreamError:
    """An error object inside an answer or a stream whose status was 200."""
    kind = bodies.text(bodies.inside(data, "error"), "type")
    return read_error(data, status=STATUSES.get(kind, 500), headers={})


def read_error(data: Json, *, status: int, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal, understood from its status, its type and, where these say too little, its words."""
    error = bodies.inside(data, "error") if isinstance(data, dict) else {}
    message = bodies.text(error, "message")[: bodies.MESSAGE_MAX]
    code = bodies.text(bodies.inside(error, "details"), "error_code") or bodies.text(error, "type")
    found = errors.from_status(status=status, message=message, code=code[:100] or None, headers=headers)
    if status == 400:
        for words, kind, retryable in WORDS:
            if words.search(message):
                found.kind, found.retryable = kind, retryable
                break
    return found
