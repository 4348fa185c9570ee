"""Answers and refusals of generateContent, read; a streamed answer is made of the same objects."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import orjson

from marketplace.lib.ids import base62
from routing.adapters import bodies, errors
from routing.adapters.gemini.contents import FORMAT, OUR_ID
from routing.canonical import NOTHING, Chunk, FinishReason, Json, ToolDelta, UpstreamError, UpstreamKind, Usage

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "LANGUAGE",
        ),
        "content_filter",
    ),
}  # fmt: skip
# Ends that are a failure of the model or its provider: another try may do better.
FAILED: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE", "NO_IMAGE", "IMAGE_OTHER", "OTHER",
    }
)  # fmt: skip
# All of these come with status 400; only the words tell them apart.
WORDS: Final[tuple[tuple[re.Pattern[str], UpstreamKind, bool], ...]] = (
    (re.compile(r"token count.*exceeds|exceeds the maximum number of tokens", re.I), "context_length", False),
    (re.compile(r"api key (not valid|expired|not found)|API_KEY_INVALID", re.I), "auth", True),
    (re.compile(r"user location is not supported", re.I), "auth", True),
    (re.compile(r"billing|prepayment credits", re.I), "credit", True),
)
CODES: Final[Mapping[str, int]] = {
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
    "DEADLINE_EXCEEDED": 504,
}


class Reader:
    """Reads one answer, plain or in pieces: it numbers the calls and knows whether an end has come."""

    __slots__ = ("_calls", "finish_seen")

    def __init__(self) -> None:
        self._calls = 0
        self.finish_seen = False

    def read(self, data: Mapping[str, Json]) -> Chunk:
        """A GenerateContentResponse. Raises UpstreamError when it says, in any of its ways, that it failed."""
        if data.get("error"):
            raise error_within(data)
        candidates = bodies.objects(data, "candidates")
        blocked = bodies.text(bodies.inside(data, "promptFeedback"), "blockReason")
        if not candidates and blocked:
            self.finish_seen = True
            return Chunk(
                refusal=bodies.text(bodies.inside(data, "promptFeedback"), "blockReasonMessage"),
                finish_reason="content_filter",
                native_finish_reason=blocked,
                usage=read_usage(bodies.inside(data, "usageMetadata")),
            )
        candidate = candidates[0] if candidates else {}
        native = bodies.text(candidate, "finishReason") or None
        if native == "FINISH_REASON_UNSPECIFIED":
            native = None
        if native in FAILED:
            raise UpstreamError(
                f"The provider gave up: {native}.", kind="unavailable", retryable=True, provider_code=native
            )
        chunk = self._content(candidate, response_id=bodies.text(data, "responseId"))
        self.finish_seen = self.finish_seen or native is not None
        return Chunk(
            text=chunk.text,
            reasoning=chunk.reasoning,
            reasoning_details=chunk.reasoning_details,
            tool_calls=chunk.tool_calls,
            extra=chunk.extra,
            finish_reason=self._finish(native),
            native_finish_reason=native,
            # Counts so far come with every piece; only those at the end are the bill.
            usage=read_usage(bodies.inside(data, "usageMetadata")) if self.finish_seen else None,
        )

    def _finish(self, native: str | None) -> FinishReason | None:
        if native is None:
            return None
        if native == "STOP" and self._calls:
            return "tool_calls"
        return FINISH_REASONS.get(native, "stop")

    def _content(self, candidate: Mapping[str, Json], *, response_id: str) -> Chunk:
        text, thoughts = "", ""
        details: list[Mapping[str, Json]] = []
        calls: list[ToolDelta] = []
        images: list[Json] = []
        for part in bodies.objects(bodies.inside(candidate, "content"), "parts"):
            signed = bodies.text(part, "thoughtSignature")
            call_id: str | None = None
            if (words := bodies.text(part, "text")) and part.get("thought") is True:
                thoughts += words
                details.append({"type": "reasoning.text", "text": words, "format": FORMAT, "index": 0})
            else:
                text += words
            if "functionCall" in part:
                call = self._call(bodies.inside(part, "functionCall"), response_id)
                call_id = call.id
                calls.append(call)
            if blob := bodies.inside(part, "inlineData"):
                images += _image(blob)
            if signed:
                details.append(_signature(signed, call_id))
        extra = {"images": images} if images else NOTHING
        return Chunk(
            text=text, reasoning=thoughts, reasoning_details=tuple(details), tool_calls=tuple(calls), extra=extra
        )

    def _call(self, call: Mapping[str, Json], response_id: str) -> ToolDelta:
        name = bodies.text(call, "name")
        if not name:
            raise bodies.malformed("The provider sent a function call without a name.")
        arguments = orjson.dumps(bodies.inside(call, "args")).decode()
        index, self._calls = self._calls, self._calls + 1
        made_up = f"{response_id}/{index}/{name}/{arguments}".encode()
        given = bodies.text(call, "id") or OUR_ID + base62(
            int.from_bytes(hashlib.sha256(made_up).digest()[:15]), width=21
        )
        return ToolDelta(index, given, name, arguments)


def _signature(data: str, call_id: str | None) -> Mapping[str, Json]:
    detail: dict[str, Json] = {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": 0}
    return detail if call_id is None else detail | {"id": call_id}


def _image(blob: Mapping[str, Json]) -> list[Json]:
    media_type = bodies.text(blob, "mimeType")
    if not media_type.startswith("image/"):
        return []
    data = bodies.text(blob, "data").translate(str.maketrans("-_", "+/"))  # either alphabet of base64 may come
    return [{"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}]


def read_answer(body: bytes) -> Chunk:
    """A plain answer as one chunk. Raises UpstreamError when it is none or says that it failed."""
    reader = Reader()
    chunk = reader.read(bodies.read_object(body, "answer"))
    if not reader.finish_seen and not chunk.has_content:
        raise bodies.malformed("The provider's answer is empty.")
    return chunk


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """The usage. Thoughts stand beside the candidates' tokens, cached ones are among the prompt's."""
    prompt = bodies.count(usage, "promptTokenCount")
    answer = bodies.count(usage, "candidatesTokenCount") if "candidatesTokenCount" in usage else 0
    if prompt is None or answer is None:
        return None
    prompt += bodies.count(usage, "toolUsePromptTokenCount") or 0
    thoughts = bodies.count(usage, "thoughtsTokenCount") or 0
    cached = bodies.count(usage, "cachedContentTokenCount") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer + thoughts,
        cached_tokens=min(cached, prompt),
        reasoning_tokens=thoughts,
    )


def error_within(data: Mapping[str, Json]) -> UpstreamError:
    """An error object inside an answer or a stream whose status was 200."""
    error = bodies.inside(data, "error")
    code = bodies.count(error, "code")
    status = code if code is not None and 400 <= code <= 599 else CODES.get(bodies.text(error, "status"), 502)
    return read_error(data, status=status, headers={})


def read_error(data: Json, *, status: int, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal, understood; one that was asked for as a stream may come as the only item of a list."""
    if isinstance(data, list) and data:
        data = data[0]
    error = bodies.inside(data, "error") if isinstance(data, dict) else {}
    message = bodies.text(error, "message")[: bodies.MESSAGE_MAX]
    code = bodies.text(error, "status")[:100] or None
    found = errors.from_status(status=status, message=message, code=code, headers=headers)
    details = bodies.objects(error, "details")
    reasons = " ".join(bodies.text(detail, "reason") for detail in details)
    if status == 400:
        for words, kind, retryable in WORDS:
            if words.search(f"{message} {reasons}"):
                found.kind, found.retryable = kind, retryable
                break
    if found.retry_after is None:  # how long to wait is told in the body, not in a header
        delays = (bodies.text(detail, "retryDelay").removesuffix("s") for detail in details)
        found.retry_after = next((errors.read_retry_after(delay) for delay in delays if delay), None)
    return found
