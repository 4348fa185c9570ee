"""A streamed message, read event by event; message_stop is its only clean end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from marketplace.lib import sse
from routing.adapters import bodies
from routing.adapters.anthropic.response import (
    error_within,
    finish,
    read_call,
    read_usage,
    redacted,
    refusal_of,
    thought,
)
from routing.canonical import Chunk, Json, ToolDelta, UpstreamError


@dataclass(slots=True)
class _OpenCall:
    """A tool call under way; `begun` is the input that came with its start, which some makers send whole."""

    index: int
    begun: Mapping[str, Json] = field(default_factory=dict)
    has_arguments: bool = False


class AnthropicStream:
    """Reads the events of one message. Pings and events that we do not know are passed over."""

    __slots__ = ("_calls", "_finish_seen", "_open", "_sse", "_stopped", "_usage")

    def __init__(self) -> None:
        self._sse = sse.Parser()
        self._usage: dict[str, Json] = {}
        self._open: dict[Json, _OpenCall] = {}  # by the block's index
        self._calls = 0
        self._finish_seen = False
        self._stopped = False

    @property
    def is_finished(self) -> bool:
        """Whether message_stop came."""
        return self._stopped

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete. Raises UpstreamError(kind malformed or what an error event says)."""
        try:
            return self._read(self._sse.feed(data))
        except sse.EventTooLarge:
            raise bodies.malformed("The provider sent an event that is too large.") from None

    def finish(self) -> list[Chunk]:
        """The end of the body. Raises UpstreamError(kind cut) when message_stop has not come."""
        try:
            chunks = self._read(self._sse.finish())
        except UpstreamError as error:
            if error.kind != "malformed":
                raise
            chunks = []  # half an event: the body was cut inside it
        if not self._stopped or not self._finish_seen:
            raise UpstreamError("The provider's stream was cut off.", kind="cut", retryable=True)
        return chunks

    def _read(self, events: list[sse.Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            if self._stopped:
                break
            if event.data:
                chunk = self._chunk(bodies.read_object(event.data, "event"))
                if chunk is not None:
                    chunks.append(chunk)
        return chunks

    def _chunk(self, data: Mapping[str, Json]) -> Chunk | None:
        match data.get("type"):
            case "message_start":
                self._usage = dict(bodies.inside(bodies.inside(data, "message"), "usage"))
            case "content_block_start":
                return self._start(data.get("index"), bodies.inside(data, "content_block"))
            case "content_block_delta":
                return self._delta(data.get("index"), bodies.inside(data, "delta"))
            case "content_block_stop":
                return self._stop(data.get("index"))
            case "message_delta":
                return self._end(data)
            case "message_stop":
                self._stopped = True
            case "error":
                raise error_within(data)
            case str():
                pass  # a ping, or an event newer than this reader
            case _:
                if data.get("error"):
                    raise error_within(data)
                raise bodies.malformed("The provider sent an event without a type.")
        return None

    def _start(self, place: Json, block: Mapping[str, Json]) -> Chunk | None:
        match block.get("type"):
            case "text" if text := bodies.text(block, "text"):
                return Chunk(text=text)
            case "thinking" if text := bodies.text(block, "thinking"):
                return Chunk(reasoning=text, reasoning_details=(thought(_place(place), text=text),))
            case "redacted_thinking":
                return Chunk(reasoning_details=(redacted(_place(place), bodies.text(block, "data")),))
            case "tool_use":
                call = read_call(self._calls, block, "")
                self._open[_place(place)] = _OpenCall(self._calls, bodies.inside(block, "input"))
                self._calls += 1
                return Chunk(tool_calls=(call,))
        return None

    def _delta(self, place: Json, delta: Mapping[str, Json]) -> Chunk | None:
        match delta.get("type"):
            case "text_delta" if text := bodies.text(delta, "text"):
                return Chunk(text=text)
            case "thinking_delta" if text := bodies.text(delta, "thinking"):
                return Chunk(reasoning=text, reasoning_details=(thought(_place(place), text=text),))
            case "signature_delta" if text := bodies.text(delta, "signature"):
                return Chunk(reasoning_details=(thought(_place(place), signature=text),))
            case "input_json_delta" if text := bodies.text(delta, "partial_json"):
                call = self._open.get(_place(place))
                if call is None:  # the input of a tool that runs at the provider
                    return None
                call.has_arguments = True
                return Chunk(tool_calls=(ToolDelta(call.index, None, None, text),))
        return None

    def _stop(self, place: Json) -> Chunk | None:
        call = self._open.pop(_place(place), None)
        if call is None or call.has_arguments:
            return None
        # No piece of arguments came: an empty object is still one, and callers parse what they are given.
        return Chunk(tool_calls=(ToolDelta(call.index, None, None, orjson.dumps(call.begun).decode()),))

    def _end(self, data: Mapping[str, Json]) -> Chunk | None:
        delta = bodies.inside(data, "delta")
        # Counts so far, not of this event: those that it names replace what message_start had said.
        self._usage |= {name: value for name, value in bodies.inside(data, "usage").items() if value is not None}
        native = bodies.text(delta, "stop_reason") or None
        self._finish_seen = self._finish_seen or native is not None
        return Chunk(
            refusal=refusal_of(delta),
            finish_reason=finish(native),
            native_finish_reason=native,
            usage=read_usage(self._usage) if "usage" in data else None,
        )


def _place(index: Json) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise bodies.malformed("The provider sent a content block without an index.")
    return index
