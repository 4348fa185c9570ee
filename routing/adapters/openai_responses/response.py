"""Answers of POST /responses, read."""

from collections.abc import Mapping
from typing import Final

from routing.adapters import bodies, errors
from routing.adapters.openai_responses.items import FORMAT
from routing.canonical import NOTHING, Chunk, FinishReason, Json, ToolDelta, UpstreamError, Usage

INCOMPLETE: Final[Mapping[str, FinishReason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}
FAILED: Final = frozenset({"failed", "cancelled"})
# The status that an error of this code would have had, had it come before the answer began.
STATUSES: Final[Mapping[str, int]] = {
    "server_error": 500,
    "rate_limit_exceeded": 429,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "vector_store_timeout": 504,
}


def read_answer(body: bytes) -> Chunk:
    """A plain answer as one chunk. Raises UpstreamError when it is none or says that it failed."""
    data = bodies.read_object(body, "answer")
    if not isinstance(data.get("output"), list):
        if data.get("error"):
            raise failed(data)
        raise bodies.malformed("The provider's answer has no output.")
    text, thoughts, refusal = "", "", ""
    details: list[Mapping[str, Json]] = []
    calls: list[ToolDelta] = []
    annotations: list[Json] = []
    logprobs: list[Json] = []
    for place, item in enumerate(bodies.objects(data, "output")):
        match item.get("type"):
            case "message":
                for part in bodies.objects(item, "content"):
                    text += bodies.text(part, "text")
                    refusal += bodies.text(part, "refusal")
                    annotations += bodies.objects(part, "annotations")
                    logprobs += bodies.objects(part, "logprobs")
            case "reasoning":
                words = "\n\n".join(bodies.text(part, "text") for part in bodies.objects(item, "summary"))
                thoughts += words or "".join(bodies.text(part, "text") for part in bodies.objects(item, "content"))
                details += summary(place, words) if words else []
                details += encrypted(place, item)
            case "function_call":
                calls.append(read_call(len(calls), item, bodies.text(item, "arguments")))
    native, ended = read_end(data, calls=bool(calls))
    if not (text or calls or refusal or thoughts) and ended is None:
        raise bodies.malformed("The provider's answer is empty.")
    return Chunk(
        text=text,
        reasoning=thoughts,
        reasoning_details=tuple(details),
        tool_calls=tuple(calls),
        refusal=refusal,
        extra={"annotations": annotations} if annotations else NOTHING,
        logprobs={"content": logprobs} if logprobs else None,
        finish_reason=ended,
        native_finish_reason=native,
        usage=read_usage(bodies.inside(data, "usage")),
    )


def read_end(response: Mapping[str, Json], *, calls: bool) -> tuple[str | None, FinishReason | None]:
    """(its own word, ours) for the end of a response. Raises UpstreamError where it failed."""
    status = bodies.text(response, "status") or None
    if status in FAILED:
        raise failed(response)
    if status == "incomplete":
        reason = bodies.text(bodies.inside(response, "incomplete_details"), "reason")
        return reason or status, INCOMPLETE.get(reason, "length")
    if status == "completed":
        return status, "tool_calls" if calls else "stop"
    return None, None


def summary(place: int, text: str) -> list[Mapping[str, Json]]:
    """A piece of what the model tells about its thoughts."""
    return [{"type": "reasoning.summary", "summary": text, "format": FORMAT, "index": place}]


def encrypted(place: int, item: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """The thoughts themselves, which only the provider can read."""
    data = bodies.text(item, "encrypted_content")
    if not data:
        return []
    return [
        {"type": "reasoning.encrypted", "data": data, "id": item.get("id"), "format": FORMAT, "index": place}
    ]  # fmt: skip


def read_call(index: int, item: Mapping[str, Json], arguments: str) -> ToolDelta:
    """A function_call item. Raises UpstreamError(kind malformed) where it has no name."""
    name, call_id = bodies.text(item, "name"), bodies.text(item, "call_id")
    if not name or not call_id:
        raise bodies.malformed("The provider sent a function call without a name or an id.")
    return ToolDelta(index, call_id, name, arguments)


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """The usage: cached tokens are among the input's, thoughts among the output's."""
    prompt, completion = bodies.count(usage, "input_tokens"), bodies.count(usage, "output_tokens")
    if prompt is None or completion is None:
        return None
    inside = bodies.inside(usage, "input_tokens_details")
    cached = min(bodies.count(inside, "cached_tokens") or 0, prompt)
    written = bodies.count(inside, "cache_write_tokens") or 0
    thoughts = bodies.count(bodies.inside(usage, "output_tokens_details"), "reasoning_tokens") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=min(written, prompt - cached),
        reasoning_tokens=min(thoughts, completion),
    )


def failed(data: Mapping[str, Json]) -> UpstreamError:
    """The error of a response that failed, or of an error event: `{"code", "message"}`, nested or not."""
    error = bodies.inside(data, "error") or data
    code = bodies.text(error, "code") or None
    return errors.from_status(
        status=STATUSES.get(code or "", 502),
        message=bodies.text(error, "message")[: bodies.MESSAGE_MAX] or "The provider reported an error.",
        code=code,
        headers={},
    )
