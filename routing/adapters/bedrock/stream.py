"""A streamed answer of Converse: binary frames, unpacked by botocore, each with an event's name and its JSON.

`messageStop` tells the end and `metadata` brings the usage after it. Text blocks are begun by nothing.
"""

from collections.abc import Mapping
from typing import Final

from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from routing.adapters import bodies
from routing.adapters.bedrock.response import (
    finish,
    read_call,
    read_error,
    read_stop,
    read_usage,
    redacted,
    thought,
)
from routing.canonical import Chunk, Json, ToolDelta, UpstreamError

FRAME_MAX: Final = 4 * 1024 * 1024


class BedrockStream:
    """Reads the frames of one answer."""

    __slots__ = ("_buffer", "_calls", "_finish_seen", "_held", "_open", "is_finished")

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._held = 0  # bytes of a frame that is not whole yet
        self._calls = 0
        self._open: dict[Json, tuple[int, bool]] = {}  # a block's place -> (its call, whether arguments came)
        self._finish_seen = False
        self.is_finished = False

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete. Raises UpstreamError(kind malformed or what a frame says)."""
        self._held += len(data)
        if self._held > FRAME_MAX:
            raise bodies.malformed("The provider sent an event that is too large.")
        self._buffer.add_data(data)
        chunks: list[Chunk] = []
        try:
            for message in self._buffer:
                self._held -= message.prelude.total_length
                if not self.is_finished and (chunk := self._chunk(message)) is not None:
                    chunks.append(chunk)
        except ParserError:
            raise bodies.malformed("The provider sent a frame whose checksum or length is wrong.") from None
        return chunks

    def finish(self) -> list[Chunk]:
        """The end of the body. Raises UpstreamError(kind cut) when messageStop has not come."""
        if not self._finish_seen:
            raise UpstreamError("The provider's stream was cut off.", kind="cut", retryable=True)
        return []

    def _chunk(self, message: EventStreamMessage) -> Chunk | None:
        data = bodies.read_object(message.payload or b"{}", "event")
        if message.headers.get(":message-type") in ("exception", "error"):
            kind = message.headers.get(":exception-type") or message.headers.get(":error-code") or ""
            raise read_error(data, kind=str(kind), status=None, headers={})
        place = data.get("contentBlockIndex")
        match message.headers.get(":event-type"):
            case "contentBlockStart":
                return self._start(place, bodies.inside(data, "start"))
            case "contentBlockDelta":
                return self._delta(place, bodies.inside(data, "delta"))
            case "contentBlockStop":
                index, has_arguments = self._open.pop(place, (0, True))
                # No piece of arguments came: an empty object is still one, and callers parse what they are given.
                return None if has_arguments else Chunk(tool_calls=(ToolDelta(index, None, None, "{}"),))
            case "messageStop":
                native = read_stop(data)
                self._finish_seen = native is not None
                return Chunk(finish_reason=finish(native), native_finish_reason=native)
            case "metadata":
                self.is_finished = True
                return Chunk(usage=read_usage(bodies.inside(data, "usage")))
        return None

    def _start(self, place: Json, start: Mapping[str, Json]) -> Chunk | None:
        if not (begun := bodies.inside(start, "toolUse")):
            return None
        call = read_call(self._calls, begun, "")
        self._open[place] = (self._calls, False)
        self._calls += 1
        return Chunk(tool_calls=(call,))

    def _delta(self, place: Json, delta: Mapping[str, Json]) -> Chunk | None:
        if text := bodies.text(delta, "text"):
            return Chunk(text=text)
        if piece := bodies.text(bodies.inside(delta, "toolUse"), "input"):
            if place not in self._open:
                raise bodies.malformed("The provider sent arguments of a tool call that it had not begun.")
            index, _ = self._open[place]
            self._open[place] = (index, True)
            return Chunk(tool_calls=(ToolDelta(index, None, None, piece),))
        if content := bodies.inside(delta, "reasoningContent"):
            at = place if isinstance(place, int) else 0
            text = bodies.text(content, "text")
            details = thought(at, text=text, signature=bodies.text(content, "signature"))
            details += redacted(at, bodies.text(content, "redactedContent"))
            return Chunk(reasoning=text, reasoning_details=tuple(details))
        return None
