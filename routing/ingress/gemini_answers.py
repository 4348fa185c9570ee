"""Canonical chunks written as Google's GenerateContentResponse: whole, as events, or as the items of an array.

Calls are written whole at the end, for this dialect has no pieces of them. What we add (provider, cost) its
clients leave aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from marketplace.lib import envelopes, sse
from routing.canonical import Chunk, FinishReason, Json
from routing.ingress.gemini_contents import FORMAT, seal
from routing.ingress.openai_chat_answers import Bill, dollars, told_of

FINISH_REASONS: Final[Mapping[FinishReason, str]] = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
# Google's words for an answer that was held back: kept where a provider of this dialect says them.
HELD_BACK: Final = frozenset(
    {
        "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
    }
)  # fmt: skip
BROKEN_STATUS: Final = {"timeout": 504, "rate_limit_exceeded": 429}


@dataclass(slots=True)
class _Call:
    name: str
    arguments: str
    id: str | None
    signature: str | None = None


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer; `as_array` for a stream that is one JSON array instead of events."""

    id: str
    model: str
    provider: str = ""
    show_thoughts: bool = False
    as_array: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _calls: list[_Call] = field(default_factory=list)
    _open: dict[int, _Call] = field(default_factory=dict)  # the last call of each of the provider's numbers
    _signatures: dict[str, str] = field(default_factory=dict)  # by the id of the call that they belong to
    _finish_reason: FinishReason | None = None
    _native: str | None = None
    _has_begun: bool = False

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        parts = self._take(chunk)
        return orjson.dumps(self._end(parts, bill, logprobs=_logprobs(chunk.logprobs)))

    def chunk(self, chunk: Chunk) -> bytes:
        """One item of a stream; empty where the chunk holds nothing for the caller."""
        parts = self._take(chunk)
        if not parts:
            return b""
        candidate = self._candidate(parts) | _logprobs(chunk.logprobs)
        return self._item(self._head() | {"candidates": [candidate]})

    def waiting(self) -> bytes:
        """Space that keeps a silent stream open: Google's own client takes a comment for an item."""
        return b"\n"

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: the calls, why it ended and the usage, once."""
        return self._item(self._end([], bill)) + (b"]" if self.as_array else b"")

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: one error with the usage so far. No finish reason ever comes."""
        kind = str(metadata.get("error_type", "server"))
        status = BROKEN_STATUS.get(kind, code)
        error = envelopes.google_error(status=status, message=message, error_type=kind)
        data = {"error": error | {"metadata": dict(metadata)}, "usageMetadata": usage_of(bill), **told_of(self.told)}
        return self._item(data) + (b"]" if self.as_array else b"")

    def _item(self, data: Mapping[str, Json]) -> bytes:
        written = orjson.dumps(dict(data))
        if not self.as_array:
            return sse.event(written)
        before = b",\n" if self._has_begun else b"["
        self._has_begun = True
        return before + written

    def _head(self) -> dict[str, Json]:
        return {"modelVersion": self.model, "responseId": self.id, "provider": self.provider}

    def _candidate(self, parts: list[Json]) -> dict[str, Json]:
        return {"content": {"role": "model", "parts": parts}, "index": 0}

    def _end(self, parts: list[Json], bill: Bill, *, logprobs: Mapping[str, Json] | None = None) -> dict[str, Json]:
        whole = parts + [self._written_call(call) for call in self._calls]
        candidate = self._candidate(whole or [{"text": ""}]) | {"finishReason": self._finish(), **(logprobs or {})}
        return self._head() | {"candidates": [candidate], "usageMetadata": usage_of(bill)} | told_of(self.told)

    def _finish(self) -> str:
        if self._native in HELD_BACK:
            return str(self._native)
        return FINISH_REASONS.get(self._finish_reason or "stop", "STOP")

    def _take(self, chunk: Chunk) -> list[Json]:
        """The parts that can go out now; calls are kept until the end."""
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._native = chunk.native_finish_reason or self._native
        for call in chunk.tool_calls:
            found = self._open.get(call.index)
            # Some providers number every call 0: a new id is a new call.
            if found is None or (call.id is not None and call.id != found.id):
                found = self._open[call.index] = _Call(call.name or "", "", call.id)
                self._calls.append(found)
            found.arguments += call.arguments
        thoughts, loose = self._thoughts(chunk)
        words: list[Json] = [{"text": text} for text in (chunk.text + chunk.refusal,) if text]
        if loose:
            words = words or [{"text": ""}]
            words[0] = {**words[0], "thoughtSignature": loose}
        return [*thoughts, *words, *_pictures(chunk)]

    def _thoughts(self, chunk: Chunk) -> tuple[list[Json], str | None]:
        """The parts of what was thought, and Google's signature of the words that it belongs to."""
        parts: list[Json] = []
        loose: str | None = None
        details = list(chunk.reasoning_details)
        if chunk.reasoning and not any(detail.get("text") or detail.get("summary") for detail in details):
            details.insert(0, {"type": "reasoning.text", "text": chunk.reasoning})
        for detail in details:
            text = detail.get("text") or detail.get("summary") or ""
            data = detail.get("data")
            if detail.get("format") == FORMAT and isinstance(data, str):
                if isinstance(detail.get("id"), str):
                    self._signatures[detail["id"]] = data
                else:
                    loose = data
                continue
            part: dict[str, Json] = {"text": text if self.show_thoughts else "", "thought": True}
            if detail.get("signature") or data:  # another maker's: all of it must come back
                part["thoughtSignature"] = seal(detail)
            if part["text"] or "thoughtSignature" in part:
                parts.append(part)
        return parts, loose

    def _written_call(self, call: _Call) -> Json:
        written: dict[str, Json] = {"functionCall": {"name": call.name, "args": _arguments(call.arguments)}}
        if call.id is not None:
            written["functionCall"]["id"] = call.id
            if signature := self._signatures.get(call.id):
                written["thoughtSignature"] = signature
        return written


def _arguments(text: str) -> dict[str, Json]:
    """A call's arguments as this dialect wants them: an object. Text that is none is kept as its `arguments`."""
    if not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _pictures(chunk: Chunk) -> list[Json]:
    given = chunk.extra.get("images")
    parts: list[Json] = []
    for image in given if isinstance(given, list) else []:
        where = image.get("image_url") if isinstance(image, dict) else None
        url = where.get("url") if isinstance(where, dict) else None
        if isinstance(url, str) and url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(",")
            parts.append({"inlineData": {"mimeType": head.partition(";")[0] or "image/png", "data": data}})
    return parts


def _logprobs(logprobs: Json) -> dict[str, Json]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    tokens = [token for token in content if isinstance(token, dict)] if isinstance(content, list) else []
    if not tokens:
        return {}
    return {
        "logprobsResult": {
            "chosenCandidates": [_token(token) for token in tokens],
            "topCandidates": [
                {"candidates": [_token(one) for one in token.get("top_logprobs") or []]} for token in tokens
            ],
        }
    }


def _token(token: Mapping[str, Json]) -> Json:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}


def usage_of(bill: Bill) -> dict[str, Json]:
    """The `usageMetadata` with its cost in dollars, written exactly. Thoughts are counted beside the answer."""
    usage = bill.usage
    return {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
        "totalTokenCount": usage.prompt_tokens + usage.completion_tokens,
        "cost": dollars(bill.cost_nano),
        "usageSource": usage.source,
    }
