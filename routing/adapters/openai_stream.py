"""Answers in the OpenAI chat dialect, read: whole bodies and streams, with the traps that the alikes set."""

from collections.abc import Mapping
from typing import Final

import orjson

from marketplace.lib import sse
from routing.adapters import errors
from routing.adapters.dialect import FINISH_REASONS, Dialect
from routing.canonical import NOTHING, Chunk, FinishReason, Json, ToolDelta, UpstreamError, Usage

CARRIED: Final = ("images", "audio", "annotations")
TOKENS_MAX: Final = 2**40


def malformed(what: str) -> UpstreamError:
    """The provider sent what its dialect does not allow."""
    return UpstreamError(what, kind="malformed", retryable=True)


def read_answer(body: bytes, dialect: Dialect) -> Chunk:
    """A chat.completion as one chunk. Raises UpstreamError when it is none or says that it failed."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The provider's answer is not valid JSON.") from None
    if not isinstance(data, dict):
        raise malformed("The provider's answer is not a JSON object.")
    if data.get("error"):
        raise error_within(data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise malformed("The provider's answer has no choice.")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise malformed("The provider's answer has no message.")
    chunk = read_choice(choice, message, dialect, usage=read_usage(data, dialect))
    if not chunk.has_content and chunk.finish_reason is None:
        raise malformed("The provider's answer is empty.")
    return chunk


class OpenAIStream:
    """Reads chat.completion.chunk events; comments are dropped, `[DONE]` and a finish reason mark the end."""

    __slots__ = ("_dialect", "_done", "_finish_seen", "_sse")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._sse = sse.Parser()
        self._done = False
        self._finish_seen = False

    @property
    def is_finished(self) -> bool:
        """Whether the mark of the end came."""
        return self._done

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete. Raises UpstreamError(kind malformed or what an error event says)."""
        try:
            return self._read(self._sse.feed(data))
        except sse.EventTooLarge:
            raise malformed("The provider sent an event that is too large.") from None

    def finish(self) -> list[Chunk]:
        """The end of the body. Raises UpstreamError(kind cut) when no finish reason has come."""
        try:
            chunks = self._read(self._sse.finish())
        except UpstreamError as error:
            if error.kind != "malformed":
                raise
            chunks = []  # half an event: the body was cut inside it
        if not self._finish_seen:
            raise UpstreamError("The provider's stream was cut off.", kind="cut", retryable=True)
        return chunks

    def _read(self, events: list[sse.Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            if self._done:
                break
            if event.data.strip() == "[DONE]":
                self._done = True
                break
            if event.data:
                chunk = self._chunk(event.data)
                if chunk is not None:
                    chunks.append(chunk)
        return chunks

    def _chunk(self, text: str) -> Chunk | None:
        try:
            data = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise malformed("The provider sent an event that is not valid JSON.") from None
        if not isinstance(data, dict):
            raise malformed("The provider sent an event that is not a JSON object.")
        if data.get("error"):
            raise error_within(data)
        usage = read_usage(data, self._dialect)
        choices = data.get("choices")
        if choices is None and usage is None:
            raise malformed("The provider sent an event that is no chunk.")
        if not choices:
            return Chunk(usage=usage) if usage is not None else None
        if not isinstance(choices, list) or not isinstance(choices[0], dict):
            raise malformed("The provider sent a chunk whose choices are malformed.")
        delta = choices[0].get("delta")
        if delta is not None and not isinstance(delta, dict):
            raise malformed("The provider sent a chunk whose delta is malformed.")
        chunk = read_choice(choices[0], delta or {}, self._dialect, usage=usage)
        self._finish_seen = self._finish_seen or chunk.finish_reason is not None
        return chunk


def read_choice(
    choice: Mapping[str, Json], message: Mapping[str, Json], dialect: Dialect, *, usage: Usage | None
) -> Chunk:
    """A choice with its message or delta. Raises UpstreamError when its finish reason is a provider's failure."""
    native = choice.get("finish_reason")
    native = native if isinstance(native, str) and native not in ("", "null") else None
    if native in dialect.failed_finishes or native == "error":
        raise UpstreamError(
            f"The provider gave up: {native}.", kind="unavailable", retryable=True, provider_code=native
        )
    text, thoughts = _content(message.get("content"))
    for name in ("reasoning_content", "reasoning"):
        if isinstance(value := message.get(name), str) and value:
            thoughts = value
            break
    details = message.get("reasoning_details")
    extra = {name: message[name] for name in CARRIED if message.get(name)}
    refusal = message.get("refusal")
    return Chunk(
        text=text,
        reasoning=thoughts,
        reasoning_details=tuple(detail for detail in details if isinstance(detail, dict))
        if isinstance(details, list)
        else (),
        tool_calls=_tool_calls(message.get("tool_calls")),
        refusal=refusal if isinstance(refusal, str) else "",
        extra=extra or NOTHING,
        logprobs=choice.get("logprobs") or None,
        finish_reason=_finish(native, dialect),
        native_finish_reason=native,
        usage=usage,
    )


def _finish(native: str | None, dialect: Dialect) -> FinishReason | None:
    if native is None:
        return None
    # A word that we do not know is still an end; what kind of end stays visible as native_finish_reason.
    return dialect.finish_reasons.get(native) or FINISH_REASONS.get(native) or "stop"


def _content(content: Json) -> tuple[str, str]:
    """(text, thoughts) of a string, or of a list of text and thinking parts."""
    if isinstance(content, str):
        return content, ""
    if content is None:
        return "", ""
    if not isinstance(content, list):
        raise malformed("The provider sent content that is neither text nor parts.")
    text, thoughts = "", ""
    for part in content:
        if not isinstance(part, dict):
            raise malformed("The provider sent a content part that is not an object.")
        if part.get("type") == "thinking":
            thoughts += _content(part.get("thinking"))[0]
        elif isinstance(part.get("text"), str):
            text += part["text"]
    return text, thoughts


def _tool_calls(calls: Json) -> tuple[ToolDelta, ...]:
    if not calls:
        return ()
    if not isinstance(calls, list):
        raise malformed("The provider sent tool calls that are no list.")
    found: list[ToolDelta] = []
    for place, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise malformed("The provider sent a tool call without a function.")
        index, arguments = call.get("index"), function.get("arguments")
        if isinstance(arguments, dict):  # Mistral may send the object itself
            arguments = orjson.dumps(arguments).decode()
        found.append(
            ToolDelta(
                index if isinstance(index, int) and not isinstance(index, bool) else place,
                _word(call.get("id")),  # Qwen repeats an empty id on every further piece
                _word(function.get("name")),
                arguments if isinstance(arguments, str) else "",
            )
        )
    return tuple(found)


def _word(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def read_usage(data: Mapping[str, Json], dialect: Dialect) -> Usage | None:
    """The usage in a body or chunk; None where there is none, or where its numbers make no sense."""
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    inside, outside = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    cached = _count(inside, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens") or 0
    written = _count(inside, "cache_write_tokens") or 0
    reasoning = _count(outside, "reasoning_tokens") or 0
    if dialect.completion_excludes_reasoning:
        completion += reasoning
    cached = min(cached, prompt)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=min(written, prompt - cached),
        reasoning_tokens=min(reasoning, completion),
    )


def _details(usage: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = usage.get(name)
    return found if isinstance(found, dict) else NOTHING


def _count(usage: Mapping[str, Json], name: str) -> int | None:
    value = usage.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return None
    return value


def error_within(data: Mapping[str, Json]) -> UpstreamError:
    """An error object inside an answer whose status was 200."""
    error = data["error"]
    message = error if isinstance(error, str) else error.get("message") if isinstance(error, dict) else None
    code = error.get("code") if isinstance(error, dict) else data.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else 502
    return errors.from_status(
        status=status,
        message=message[:2_000] if isinstance(message, str) else "The provider reported an error.",
        code=code if isinstance(code, str) else None,
        headers={},
    )
