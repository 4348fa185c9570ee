"""Canonical chunks written as Cohere's chat messages and stream events, with our id, model, provider and cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from marketplace.lib import sse
from routing.canonical import Chunk, FinishReason, Json, ToolDelta
from routing.ingress.blocks import Blocks, Event
from routing.ingress.openai_chat_answers import KEEP_ALIVE, Bill, dollars, told_of

FINISH_REASONS: Final[Mapping[FinishReason, str]] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",  # its older word: the newer ones have none for it
}
STOPPED: Final = frozenset({"STOP_SEQUENCE", "stop_sequence"})  # in the words of providers that tell it apart


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer."""

    id: str
    model: str
    provider: str = ""
    exclude_reasoning: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _blocks: Blocks = field(init=False)
    _open: dict[int, "_Place"] = field(default_factory=dict)  # by the block's index
    _contents: int = 0
    _calls: int = 0
    _is_started: bool = False
    _finish: str = "COMPLETE"

    def __post_init__(self) -> None:
        self._blocks = Blocks(answer_id=self.id)

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        chunk = self._plain(chunk)
        content: list[Json] = []
        if chunk.reasoning:
            content.append({"type": "thinking", "thinking": chunk.reasoning})
        if chunk.text or not (chunk.tool_calls or content):
            content.append({"type": "text", "text": chunk.text})
        message: dict[str, Json] = {"role": "assistant", "content": content}
        if chunk.tool_calls:
            message["tool_calls"] = [self._call(place, call) for place, call in enumerate(chunk.tool_calls)]
        self._end(chunk)
        head = {"id": self.id, "model": self.model, "provider": self.provider, "message": message}
        return orjson.dumps(head | {"finish_reason": self._finish, "usage": usage_of(bill)} | told_of(self.told))

    def chunk(self, chunk: Chunk) -> bytes:
        """The events for a piece of a stream; empty where it holds nothing for the caller."""
        self._end(chunk)
        events = self._laid_out(self._blocks.take(self._plain(chunk)))
        return self._start() + events if events else b""

    def waiting(self) -> bytes:
        """A comment that keeps a silent stream open."""
        return KEEP_ALIVE

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: what is open is closed, then why it ended with the usage, then the mark."""
        rest = self._laid_out(self._blocks.finish())
        delta = {"finish_reason": self._finish, "usage": usage_of(bill)}
        end = _event({"type": "message-end", "id": self.id, "delta": delta, **told_of(self.told)})
        return self._start() + rest + end + sse.DONE

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: an end in failure, with the usage so far and no mark of a clean one."""
        delta = {"finish_reason": "ERROR", "error": message, "usage": usage_of(bill)}
        more = {"code": code, "metadata": dict(metadata), **told_of(self.told)}
        return self._start() + _event({"type": "message-end", "id": self.id, "delta": delta, **more})

    def _plain(self, chunk: Chunk) -> Chunk:
        """Without what this dialect has no place for: declining is said in words, thoughts go unsigned."""
        reasoning = "" if self.exclude_reasoning else chunk.reasoning
        return replace(chunk, text=chunk.text + chunk.refusal, refusal="", reasoning=reasoning, reasoning_details=())

    def _end(self, chunk: Chunk) -> None:
        if chunk.tool_calls and self._finish == "COMPLETE":
            self._finish = "TOOL_CALL"
        if chunk.finish_reason is None or (chunk.finish_reason == "stop" and self._finish == "TOOL_CALL"):
            return
        is_sequence = chunk.finish_reason == "stop" and chunk.native_finish_reason in STOPPED
        self._finish = "STOP_SEQUENCE" if is_sequence else FINISH_REASONS.get(chunk.finish_reason, "COMPLETE")

    def _start(self) -> bytes:
        """The event that begins a stream, once."""
        if self._is_started:
            return b""
        self._is_started = True
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        head = {"id": self.id, "type": "message-start", "model": self.model, "provider": self.provider}
        return _event(head | {"delta": {"message": message}})

    def _laid_out(self, blocks: list[Event]) -> bytes:
        return b"".join(_event(self._translated(block)) for block in blocks)

    def _translated(self, event: Event) -> Event:
        """An event of a block's life in this dialect's words; contents and calls are numbered apart."""
        match event["type"]:
            case "content_block_start":
                place = self._begin(event["content_block"]["type"])
                self._open[event["index"]] = place
                return place.event("start", place.first(event["content_block"]))
            case "content_block_delta":
                place = self._open[event["index"]]
                return place.event("delta", place.more(event["delta"]))
            case _:
                return self._open.pop(event["index"]).event("end")

    def _begin(self, kind: str) -> "_Place":
        if kind == "tool_use":
            self._calls += 1
            return _Place("tool-call", self._calls - 1)
        self._contents += 1
        return _Place("content", self._contents - 1)

    def _call(self, place: int, call: ToolDelta) -> Json:
        return _written_call(call.id or f"call_{self.id}_{place}", call.name or "", call.arguments or "{}")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the message a block stands: among its contents, or among its calls."""

    name: str
    index: int

    def event(self, moment: str, message: Json = None) -> Event:
        """`content-start` and the like."""
        delta = {} if message is None else {"delta": {"message": message}}
        return {"type": f"{self.name}-{moment}", "index": self.index, **delta}

    def first(self, block: Mapping[str, Json]) -> Json:
        """What a block begins with."""
        if self.name == "tool-call":
            return {"tool_calls": _written_call(block["id"], block["name"], "")}
        kind = block["type"]
        return {"content": {"type": kind, kind: ""}}

    def more(self, delta: Mapping[str, Json]) -> Json:
        """A piece of it."""
        if self.name == "tool-call":
            return {"tool_calls": {"function": {"arguments": delta["partial_json"]}}}
        kind = "text" if delta["type"] == "text_delta" else "thinking"
        return {"content": {kind: delta[kind]}}


def usage_of(bill: Bill) -> dict[str, Json]:
    """The `usage` object, with its cost in dollars written exactly."""
    counts = {"input_tokens": bill.usage.prompt_tokens, "output_tokens": bill.usage.completion_tokens}
    return {
        "billed_units": counts,
        "tokens": counts,
        "cached_tokens": bill.usage.cached_tokens,
        "cost": dollars(bill.cost_nano),
        "is_byok": bill.is_byok,
        "usage_source": bill.usage.source,
    }


def _written_call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _event(event: Event) -> bytes:
    return sse.event(orjson.dumps(event), event=event["type"])
