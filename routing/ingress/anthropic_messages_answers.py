"""Canonical chunks written as Anthropic's messages and stream events, with our id, model, provider and cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from marketplace.lib import envelopes, sse
from routing.canonical import Chunk, FinishReason, Json, ToolDelta
from routing.ingress.blocks import Blocks, Event, thoughts, tool_id, words
from routing.ingress.openai_chat_answers import Bill, dollars, told_of

STOP_REASONS: Final[Mapping[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
# What a provider of this dialect says itself is kept.
OWN_REASONS: Final = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
)
BROKEN_STATUS: Final = {"timeout": 504, "rate_limit_exceeded": 429}
PING: Final = sse.event(b'{"type":"ping"}', event="ping")


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer; `stop_sequences` are those that the caller gave."""

    id: str
    model: str
    provider: str = ""
    stop_sequences: tuple[str, ...] = ()
    exclude_reasoning: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _blocks: Blocks = field(init=False)
    _is_started: bool = False
    _end: "_End" = field(init=False)

    def __post_init__(self) -> None:
        self._blocks = Blocks(answer_id=self.id, exclude_reasoning=self.exclude_reasoning)
        self._end = _End(self.stop_sequences)

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        content: list[Json] = [
            {"type": "redacted_thinking", "data": thought.data}
            if thought.data
            else {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
            for thought in thoughts(chunk, exclude=self.exclude_reasoning)
        ]
        if text := words(chunk):
            content.append({"type": "text", "text": text, "citations": None})
        content += [self._tool_use(call, len(content) + place) for place, call in enumerate(chunk.tool_calls)]
        self._end.take(chunk)
        rest = self._end.fields() | {"usage": usage_of(bill)} | told_of(self.told)
        return orjson.dumps(self._message(content) | rest)

    def chunk(self, chunk: Chunk) -> bytes:
        """The events for a piece of a stream; empty where it holds nothing for the caller."""
        self._end.take(chunk)
        events = self._blocks.take(chunk)
        return self._start() + _written(events) if events else b""

    def waiting(self) -> bytes:
        """A ping, which keeps a silent stream open."""
        return self._start() + PING

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: what is open is closed, then why it stopped with the usage, then the end."""
        delta = {"type": "message_delta", "delta": self._end.fields(), "usage": usage_of(bill)}
        return self._start() + _written([*self._blocks.finish(), delta, {"type": "message_stop", **told_of(self.told)}])

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: one error event with the usage so far and no message_stop."""
        kind = str(metadata.get("error_type", "server"))
        error = envelopes.messages_error(status=BROKEN_STATUS.get(kind, code), message=message, error_type=kind)
        more = {"request_id": self.id, "metadata": dict(metadata), "usage": usage_of(bill), **told_of(self.told)}
        return self._start() + _written([{"type": "error", "error": error, **more}])

    def _start(self) -> bytes:
        """The event that begins a stream, once. The true usage comes at the end; zeros stand for it here."""
        if self._is_started:
            return b""
        self._is_started = True
        message = self._message([]) | _End().fields(stop_reason=None) | {"usage": _tokens(0, 0, 0, 0, 0)}
        return _written([{"type": "message_start", "message": message}])

    def _message(self, content: list[Json]) -> dict[str, Json]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "provider": self.provider,
            "content": content,
        }

    def _tool_use(self, call: ToolDelta, place: int) -> Json:
        call_id = call.id or tool_id(self.id, place)
        return {
            "type": "tool_use",
            "id": call_id,
            "caller": {"type": "direct"},
            "name": call.name or "",
            "input": read_input(call.arguments),
        }


@dataclass(slots=True)
class _End:
    """Why an answer ended, gathered from its chunks."""

    stop_sequences: tuple[str, ...] = ()
    finish_reason: FinishReason | None = None
    native: str | None = None
    refusal: str = ""
    has_calls: bool = False

    def take(self, chunk: Chunk) -> None:
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.native = chunk.native_finish_reason or self.native
        self.refusal += chunk.refusal
        self.has_calls = self.has_calls or bool(chunk.tool_calls)

    def reason(self) -> str:
        """The stop reason, in this dialect's words."""
        if self.refusal:
            return "refusal"
        if self.native in OWN_REASONS:
            return str(self.native)
        reason = STOP_REASONS.get(self.finish_reason or "stop", "end_turn")
        return "tool_use" if reason == "end_turn" and self.has_calls else reason

    def fields(self, **fixed: Json) -> dict[str, Json]:
        """The members that tell of the end, in a message and in a message_delta."""
        reason = self.reason()
        # Providers do not say which sequence it was; with a single one there is no doubt.
        sequence = self.stop_sequences[0] if reason == "stop_sequence" and len(self.stop_sequences) == 1 else None
        refused = {"type": "refusal", "category": None, "explanation": self.refusal or None}
        return {
            "stop_reason": reason,
            "stop_sequence": sequence,
            "stop_details": refused if reason == "refusal" else None,
            "container": None,
        } | fixed


def read_input(arguments: str) -> dict[str, Json]:
    """A tool call's arguments as this dialect wants them: an object. Text that is none is kept as its `arguments`."""
    if not arguments.strip():
        return {}
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}


def usage_of(bill: Bill) -> dict[str, Json]:
    """The `usage` object, cached tokens apart from the input, with its cost in dollars written exactly."""
    usage = bill.usage
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    fresh = usage.prompt_tokens - cached - written
    return _tokens(fresh, cached, written, usage.completion_tokens, usage.reasoning_tokens) | {
        "cost": dollars(bill.cost_nano),
        "is_byok": bill.is_byok,
        "cost_details": {
            "upstream_inference_cost": bill.upstream,
            "upstream_inference_prompt_cost": dollars(bill.prompt_cost_nano),
            "upstream_inference_completions_cost": dollars(bill.completion_cost_nano),
        },
        "usage_source": usage.source,
    }


def _tokens(fresh: int, cached: int, written: int, output: int, thinking: int) -> dict[str, Json]:
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "cache_creation": None,
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": thinking},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": None,
    }


def _written(events: list[Event]) -> bytes:
    return b"".join(sse.event(orjson.dumps(event), event=event["type"]) for event in events)
