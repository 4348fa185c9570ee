"""Answers and refusals of POST /v2/chat, read."""

import re
from collections.abc import Mapping
from typing import Final

from routing.adapters import bodies, errors
from routing.canonical import Chunk, FinishReason, Json, ToolDelta, UpstreamError, UpstreamKind, Usage

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
FAILED: Final = frozenset({"ERROR", "TIMEOUT"})  # ends that are a failure: another endpoint may do better
# All of these come with status 400; only the words tell them apart.
WORDS: Final[tuple[tuple[re.Pattern[str], UpstreamKind, bool], ...]] = (
    (re.compile(r"too many tokens|exceeds? .{0,40}(context|token)|context (length|window)", re.I), "context_length",
     False),
    (re.compile(r"blocked|safety", re.I), "content_policy", False),
)  # fmt: skip
INVALID_TOKEN: Final = 498  # its own status for a key that it does not know


def read_answer(body: bytes) -> Chunk:
    """A plain answer as one chunk. Raises UpstreamError when it is none or says that it failed."""
    data = bodies.read_object(body, "answer")
    message = data.get("message")
    if isinstance(message, str):  # where a message should be, a refusal has its words
        raise read_error(data, status=502, headers={})
    if not isinstance(message, dict):
        raise bodies.malformed("The provider's answer has no message.")
    native = read_finish(data)
    text, thoughts = read_content(message.get("content"))
    thoughts = bodies.text(message, "tool_plan") + thoughts
    calls = tuple(read_call(place, call) for place, call in enumerate(bodies.objects(message, "tool_calls")))
    if native is None and not (text or calls):
        raise bodies.malformed("The provider's answer is empty.")
    return Chunk(
        text=text,
        reasoning=thoughts,
        tool_calls=calls,
        finish_reason=finish(native),
        native_finish_reason=native,
        usage=read_usage(bodies.inside(data, "usage")),
    )


def read_content(content: Json) -> tuple[str, str]:
    """(text, thoughts) of a message's content: one block in a stream's piece, a list of them in a plain answer."""
    if isinstance(content, str):
        return content, ""
    blocks = [content] if isinstance(content, dict) else content if isinstance(content, list) else []
    found = [block for block in blocks if isinstance(block, dict)]
    return "".join(bodies.text(one, "text") for one in found), "".join(bodies.text(one, "thinking") for one in found)


def read_call(place: int, call: Mapping[str, Json]) -> ToolDelta:
    """A call with its id and name. Raises UpstreamError(kind malformed) where it lacks one."""
    function = bodies.inside(call, "function")
    name, call_id = bodies.text(function, "name"), bodies.text(call, "id")
    if not name or not call_id:
        raise bodies.malformed("The provider sent a tool call without a name or an id.")
    return ToolDelta(place, call_id, name, bodies.text(function, "arguments"))


def read_finish(data: Mapping[str, Json]) -> str | None:
    """Why it ended, in its own word. Raises UpstreamError where that is a failure."""
    native = bodies.text(data, "finish_reason") or None
    if native in FAILED:
        said = bodies.text(data, "error") or f"The provider gave up: {native}."
        kind: UpstreamKind = "timeout" if native == "TIMEOUT" else "unavailable"
        raise UpstreamError(said[: bodies.MESSAGE_MAX], kind=kind, retryable=True, provider_code=native)
    return native


def finish(native: str | None) -> FinishReason | None:
    """The end in our words; one that we do not know is still an end."""
    return None if native is None else FINISH_REASONS.get(native, "stop")


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """What is billed; `tokens`, which counts its own additions to the prompt, is not."""
    billed = bodies.inside(usage, "billed_units")
    prompt, completion = bodies.count(billed, "input_tokens"), bodies.count(billed, "output_tokens")
    if prompt is None or completion is None:
        return None
    return Usage(prompt, completion, cached_tokens=min(bodies.count(usage, "cached_tokens") or 0, prompt))


def read_error(data: Json, *, status: int, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal, understood."""
    message = bodies.text(data, "message")[: bodies.MESSAGE_MAX] if isinstance(data, dict) else ""
    known = 401 if status == INVALID_TOKEN else status
    found = errors.from_status(status=known, message=message, code=None, headers=headers)
    found.status = status
    if status == 400:
        for words, kind, retryable in WORDS:
            if words.search(message):
                found.kind, found.retryable = kind, retryable
                break
    return found
