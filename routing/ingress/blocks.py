"""Pieces of an answer laid out as content blocks: one open at a time, in order, whatever order pieces come in.

A piece for a block that is not yet its turn waits. A block of text or thoughts ends when another begins;
a tool call ends when its arguments are whole, so that calls whose pieces are mixed come out one after the other.

The events are named in Anthropic's words, which its dialect sends as they are and Cohere's translates into its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from routing.canonical import Chunk, Json, ToolDelta

Event = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of thinking: words, the signature that seals them, or an encrypted whole."""

    text: str = ""
    signature: str = ""
    data: str = ""


def words(chunk: Chunk) -> str:
    """The words in a chunk, and the model's own words for declining; Anthropic's explanation is none of them."""
    return chunk.text + ("" if chunk.native_finish_reason == "refusal" else chunk.refusal)


def thoughts(chunk: Chunk, *, exclude: bool = False) -> Iterator[Thought]:
    """The thinking in a chunk; without its words, but with what later turns must echo, where it is excluded."""
    found: list[Thought] = []
    for detail in chunk.reasoning_details:
        match detail.get("type"):
            case "reasoning.text":
                found.append(Thought(_word(detail, "text"), _word(detail, "signature")))
            case "reasoning.summary":
                found.append(Thought(_word(detail, "summary")))
            case "reasoning.encrypted":
                found.append(Thought(data=_word(detail, "data")))
    if chunk.reasoning and not any(thought.text for thought in found):
        found.insert(0, Thought(chunk.reasoning))
    for thought in found:
        kept = Thought("" if exclude else thought.text, thought.signature, thought.data)
        if kept != Thought():
            yield kept


def _word(detail: Mapping[str, Json], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _Block:
    start: dict[str, Json]
    index: int
    deltas: list[dict[str, Json]] = field(default_factory=list)  # not yet sent
    tool: int | None = None  # the index of its tool call
    arguments: str = ""
    is_started: bool = False
    is_sealed: bool = False

    @property
    def kind(self) -> str:
        return str(self.start["type"])

    @property
    def is_whole(self) -> bool:
        """Whether nothing more can belong to it once another block is there."""
        if self.tool is None:
            return True
        try:
            orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return False
        return True


class Blocks:
    """The blocks of one streamed answer. Put chunks in with `take`; what may go out comes back as events."""

    def __init__(self, *, answer_id: str, exclude_reasoning: bool = False) -> None:
        self._answer_id = answer_id
        self._exclude = exclude_reasoning
        self._open: list[_Block] = []
        self._count = 0

    def take(self, chunk: Chunk) -> list[Event]:
        """Lay out a chunk."""
        for thought in thoughts(chunk, exclude=self._exclude):
            self._think(thought)
        if text := words(chunk):
            block = self._last("text") or self._begin({"type": "text", "text": "", "citations": None})
            block.deltas.append({"type": "text_delta", "text": text})
        for call in chunk.tool_calls:
            self._call(call)
        return self._drain()

    def finish(self) -> list[Event]:
        """Close what is open."""
        events = [event for block in self._open for event in (*_sent(block), _stop(block))]
        self._open.clear()
        return events

    def _think(self, thought: Thought) -> None:
        if thought.data:
            self._begin({"type": "redacted_thinking", "data": thought.data})
            return
        block = self._last("thinking")
        if block is None or block.is_sealed:
            block = self._begin({"type": "thinking", "thinking": "", "signature": ""})
        if thought.text:
            block.deltas.append({"type": "thinking_delta", "thinking": thought.text})
        if thought.signature:
            block.deltas.append({"type": "signature_delta", "signature": thought.signature})
            block.is_sealed = True

    def _call(self, call: ToolDelta) -> None:
        block = next((block for block in reversed(self._open) if block.tool == call.index), None)
        # Some providers number every call 0: a new id is a new call.
        if block is None or (call.id is not None and call.id != block.start["id"]):
            if call.id is None and call.name is None:
                return  # more of a call whose arguments were whole already
            call_id = call.id or tool_id(self._answer_id, self._count)
            start: dict[str, Json] = {"type": "tool_use", "id": call_id, "caller": {"type": "direct"}}
            block = self._begin(start | {"name": call.name or "", "input": {}}, call.index)
        if call.arguments:
            block.arguments += call.arguments
            block.deltas.append({"type": "input_json_delta", "partial_json": call.arguments})

    def _last(self, kind: str) -> _Block | None:
        return self._open[-1] if self._open and self._open[-1].kind == kind else None

    def _begin(self, start: dict[str, Json], tool: int | None = None) -> _Block:
        block = _Block(start, self._count, tool=tool)
        self._count += 1
        self._open.append(block)
        return block

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        while self._open:
            block = self._open[0]
            events += _sent(block)
            if len(self._open) == 1 or not block.is_whole:
                break
            events.append(_stop(block))
            self._open.pop(0)
        return events


def tool_id(answer_id: str, place: int) -> str:
    """An id for a tool call whose provider gave none."""
    return f"toolu_{answer_id.replace('-', '')}{place}"


def _sent(block: _Block) -> list[Event]:
    events: list[Event] = []
    if not block.is_started:
        block.is_started = True
        events.append({"type": "content_block_start", "index": block.index, "content_block": block.start})
    events += [{"type": "content_block_delta", "index": block.index, "delta": delta} for delta in block.deltas]
    block.deltas.clear()
    return events


def _stop(block: _Block) -> Event:
    return {"type": "content_block_stop", "index": block.index}
