"""Answers and refusals of Converse, read."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from routing.adapters import bodies, errors
from routing.adapters.bedrock.blocks import CLAUDE, FORMAT
from routing.canonical import NOTHING, Chunk, FinishReason, Json, ToolDelta, UpstreamError, UpstreamKind, Usage

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
FAILED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
# Kind of error -> (the status that it has, ours, whether another endpoint may do better)
KINDS: Final[Mapping[str, tuple[int, UpstreamKind, bool]]] = {
    "accessdeniedexception": (403, "auth", True),
    "unrecognizedclientexception": (403, "auth", True),
    "expiredtokenexception": (403, "auth", True),
    "internalserverexception": (500, "unavailable", True),
    "modelerrorexception": (424, "unavailable", True),
    "modelnotreadyexception": (429, "unavailable", True),
    "modelstreamerrorexception": (424, "unavailable", True),
    "modeltimeoutexception": (408, "timeout", True),
    "resourcenotfoundexception": (404, "not_found", True),
    "servicequotaexceededexception": (400, "rate_limited", True),
    "serviceunavailableexception": (503, "unavailable", True),
    "throttlingexception": (429, "rate_limited", True),
    "validationexception": (400, "invalid", False),
}
# All of these are validation errors; only the words tell them apart.
WORDS: Final[tuple[tuple[re.Pattern[str], UpstreamKind, bool], ...]] = (
    (re.compile(r"(input|prompt) is too long|too many input tokens|context (length|window)", re.I), "context_length",
     False),
    (re.compile(r"model identifier is invalid|on-demand throughput isn.t supported", re.I), "not_found", True),
    (re.compile(r"content filter|blocked by", re.I), "content_policy", False),
)  # fmt: skip


def read_answer(body: bytes) -> Chunk:
    """A plain answer as one chunk. Raises UpstreamError when it is none or says that it failed."""
    data = bodies.read_object(body, "answer")
    message = bodies.inside(bodies.inside(data, "output"), "message")
    if not isinstance(message.get("content"), list):
        raise bodies.malformed("The provider's answer has no content.")
    text, thoughts = "", ""
    details: list[Mapping[str, Json]] = []
    calls: list[ToolDelta] = []
    images: list[Json] = []
    for place, block in enumerate(bodies.objects(message, "content")):
        text += bodies.text(block, "text")
        text += "".join(bodies.text(one, "text") for one in bodies.objects(_cited(block), "content"))
        if call := bodies.inside(block, "toolUse"):
            arguments = orjson.dumps(call.get("input") or {}).decode()
            calls.append(read_call(len(calls), call, arguments))
        if content := bodies.inside(block, "reasoningContent"):
            said = bodies.inside(content, "reasoningText")
            thoughts += bodies.text(said, "text")
            details += thought(place, text=bodies.text(said, "text"), signature=bodies.text(said, "signature"))
            details += redacted(place, bodies.text(content, "redactedContent"))
        images += _image(bodies.inside(block, "image"))
    native = read_stop(data)
    if native is None and not (text or calls):
        raise bodies.malformed("The provider's answer is empty.")
    return Chunk(
        text=text,
        reasoning=thoughts,
        reasoning_details=tuple(details),
        tool_calls=tuple(calls),
        extra={"images": images} if images else NOTHING,
        finish_reason=finish(native),
        native_finish_reason=native,
        usage=read_usage(bodies.inside(data, "usage")),
    )


def _cited(block: Mapping[str, Json]) -> Mapping[str, Json]:
    return bodies.inside(block, "citationsContent")


def _image(image: Mapping[str, Json]) -> list[Json]:
    data = bodies.text(bodies.inside(image, "source"), "bytes")
    url = f"data:image/{bodies.text(image, 'format') or 'png'};base64,{data}"
    return [{"type": "image_url", "image_url": {"url": url}}] if data else []


def thought(place: int, *, text: str = "", signature: str = "") -> list[Mapping[str, Json]]:
    """A piece of the model's thoughts, as callers see and echo it: words, their signature or both."""
    said = ({"text": text} if text else {}) | ({"signature": signature} if signature else {})
    return [{"type": "reasoning.text", **said, "format": CLAUDE, "index": place}] if said else []


def redacted(place: int, data: str) -> list[Mapping[str, Json]]:
    """Thoughts that only the provider can read."""
    return [{"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": place}] if data else []


def read_call(index: int, call: Mapping[str, Json], arguments: str) -> ToolDelta:
    """A toolUse. Raises UpstreamError(kind malformed) where it has no name."""
    name, call_id = bodies.text(call, "name"), bodies.text(call, "toolUseId")
    if not name or not call_id:
        raise bodies.malformed("The provider sent a tool call without a name or an id.")
    return ToolDelta(index, call_id, name, arguments)


def read_stop(data: Mapping[str, Json]) -> str | None:
    """Why it stopped, in its own word. Raises UpstreamError where that is a failure."""
    native = bodies.text(data, "stopReason") or None
    if native in FAILED:
        raise UpstreamError(
            f"The provider gave up: {native}.", kind="unavailable", retryable=True, provider_code=native
        )
    return native


def finish(native: str | None) -> FinishReason | None:
    """The end in our words; one that we do not know is still an end."""
    return None if native is None else FINISH_REASONS.get(native, "stop")


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """The usage. As with Claude's own, cached tokens stand beside the input's, not among them; ours are among them."""
    fresh, completion = bodies.count(usage, "inputTokens"), bodies.count(usage, "outputTokens")
    if fresh is None or completion is None:
        return None
    cached = bodies.count(usage, "cacheReadInputTokens") or 0
    written = bodies.count(usage, "cacheWriteInputTokens") or 0
    return Usage(fresh + cached + written, completion, cached_tokens=cached, cache_write_tokens=written)


def read_error(data: Mapping[str, Json], *, kind: str, status: int | None, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal, understood from its kind (as a header or a frame names it) and, for a 400, its words."""
    message = (bodies.text(data, "message") or bodies.text(data, "Message"))[: bodies.MESSAGE_MAX]
    known = KINDS.get(kind.lower())
    by_kind = known[0] if known else 502
    found = errors.from_status(
        status=by_kind if status is None else status, message=message, code=kind[:100] or None, headers=headers
    )
    if known is not None:
        found.kind, found.retryable = known[1], known[2]
    if found.kind == "invalid":
        for words, better, retryable in WORDS:
            if words.search(message):
                found.kind, found.retryable = better, retryable
                break
    return found
