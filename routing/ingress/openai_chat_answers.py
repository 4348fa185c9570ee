"""Canonical chunks written as OpenAI's chat.completion and chat.completion.chunk, with our id, model and provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from marketplace.lib import money, sse
from routing.canonical import Chunk, Json, ToolDelta, Usage

KEEP_ALIVE: Final = sse.comment("keep-alive")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a generation used and what it cost the caller, in nano-USD."""

    usage: Usage
    cost_nano: int
    prompt_cost_nano: int
    completion_cost_nano: int
    upstream_nano: int | None = None  # what the provider bills the account itself, with the account's own key

    @property
    def is_byok(self) -> bool:
        """Whether it went out with the account's own key: the cost is our fee alone."""
        return self.upstream_nano is not None

    @property
    def upstream(self) -> orjson.Fragment | None:
        """The provider's own part in dollars, where there is one."""
        return None if self.upstream_nano is None else dollars(self.upstream_nano)


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer. `provider` and `model` name who really answers: set once that is known."""

    id: str
    created: int
    model: str
    provider: str = ""
    exclude_reasoning: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _has_role: bool = False

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        message: dict[str, Json] = {
            "role": "assistant",
            "content": chunk.text if chunk.text or not chunk.tool_calls else None,
            "refusal": chunk.refusal or None,
        }
        message |= self._thoughts(chunk)
        if chunk.tool_calls:
            message["tool_calls"] = [_tool_call(call) for call in chunk.tool_calls]
        message |= chunk.extra
        choice = {
            "index": 0,
            "finish_reason": chunk.finish_reason,
            "native_finish_reason": chunk.native_finish_reason,
            "logprobs": chunk.logprobs,
            "message": message,
        }
        head = self._head("chat.completion") | {"choices": [choice], "usage": usage_of(bill)}
        return orjson.dumps(head | told_of(self.told))

    def chunk(self, chunk: Chunk) -> bytes:
        """One event of a stream; empty where the chunk holds nothing for the caller."""
        delta: dict[str, Json] = {}
        if chunk.text:
            delta["content"] = chunk.text
        delta |= self._thoughts(chunk)
        if chunk.tool_calls:
            delta["tool_calls"] = [_tool_delta(call) for call in chunk.tool_calls]
        if chunk.refusal:
            delta["refusal"] = chunk.refusal
        delta |= chunk.extra
        if not delta and chunk.finish_reason is None and chunk.logprobs is None:
            return b""
        if not self._has_role:
            self._has_role = True
            delta = {"role": "assistant", "content": "", **delta}
        return self._event([self._choice(delta, chunk)])

    def waiting(self) -> bytes:
        """A comment that keeps a silent stream open."""
        return KEEP_ALIVE

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: the usage, once, in a chunk without choices, and the mark of the end."""
        return self._event([], usage=usage_of(bill), **told_of(self.told)) + sse.DONE

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: one error event with the usage so far and no mark of a clean end."""
        choice = {
            "index": 0,
            "delta": {"content": ""},
            "finish_reason": "error",
            "native_finish_reason": None,
            "logprobs": None,
        }
        error = {"code": code, "message": message, "metadata": dict(metadata)}
        return self._event([choice], error=error, usage=usage_of(bill), **told_of(self.told))

    def _head(self, kind: str) -> dict[str, Json]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "system_fingerprint": None,
        }

    def _event(self, choices: Sequence[Json], **more: Json) -> bytes:
        head = self._head("chat.completion.chunk")
        del head["system_fingerprint"]  # in a piece it is left out where there is none
        data = orjson.dumps(head | {"choices": choices} | more)
        return b"data: " + data + b"\n\n"

    def _choice(self, delta: Mapping[str, Json], chunk: Chunk) -> Json:
        return {
            "index": 0,
            "delta": delta,
            "finish_reason": chunk.finish_reason,
            "native_finish_reason": chunk.native_finish_reason,
            "logprobs": chunk.logprobs,
        }

    def _thoughts(self, chunk: Chunk) -> dict[str, Json]:
        if self.exclude_reasoning:
            return {}
        found: dict[str, Json] = {}
        if chunk.reasoning:
            found["reasoning"] = chunk.reasoning
        if chunk.reasoning_details:
            found["reasoning_details"] = list(chunk.reasoning_details)
        return found


def told_of(told: Mapping[str, Json]) -> dict[str, Json]:
    """What is told of the routing, under its name; nothing where nothing is."""
    return {"openrouter_metadata": dict(told)} if told else {}


def usage_of(bill: Bill) -> dict[str, Json]:
    """The `usage` object with its cost, in dollars written exactly."""
    usage = bill.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": dollars(bill.cost_nano),
        "is_byok": bill.is_byok,
        "cost_details": {
            "upstream_inference_cost": bill.upstream,
            "upstream_inference_prompt_cost": dollars(bill.prompt_cost_nano),
            "upstream_inference_completions_cost": dollars(bill.completion_cost_nano),
        },
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "usage_source": usage.source,
    }


def dollars(nano: int) -> orjson.Fragment:
    """Nano-USD as a JSON number with all its digits, for orjson: no float comes near money."""
    return orjson.Fragment(money.format_usd(nano))


def _tool_call(call: ToolDelta) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": call.index, "id": call.id, "type": "function", "function": function}


def _tool_delta(call: ToolDelta) -> Json:
    function: dict[str, Json] = {"arguments": call.arguments}
    if call.name is not None:
        function = {"name": call.name} | function
    delta: dict[str, Json] = {"index": call.index}
    if call.id is not None:
        delta |= {"id": call.id, "type": "function"}
    return delta | {"function": function}
