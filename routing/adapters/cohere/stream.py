"""A streamed answer of POST /v2/chat; message-end is its only clean end."""

from collections.abc import Mapping

from marketplace.lib import sse
from routing.adapters import bodies
from routing.adapters.cohere.response import finish, read_call, read_content, read_error, read_finish, read_usage
from routing.adapters.events import EventReader
from routing.canonical import Chunk, Json, ToolDelta


class CohereStream(EventReader):
    """Reads the events of one message. In a piece `tool_calls` is one object, where a plain answer has a list."""

    __slots__ = ("_begun", "_calls")

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0
        self._begun: set[int] = set()  # places of the calls of which arguments came

    def take(self, event: sse.Event) -> Chunk | None:
        """What one event brings. Events that we do not know are passed over."""
        if event.data.strip() == "[DONE]":
            self.is_finished = True
            return None
        data = bodies.read_object(event.data, "event")
        delta = bodies.inside(data, "delta")
        message = bodies.inside(delta, "message")
        match data.get("type"):
            case "content-start" | "content-delta":
                text, thoughts = read_content(message.get("content"))
                return Chunk(text=text, reasoning=thoughts) if text or thoughts else None
            case "tool-plan-delta":
                return Chunk(reasoning=bodies.text(message, "tool_plan"))
            case "tool-call-start":
                call = read_call(self._calls, bodies.inside(message, "tool_calls"))
                self._calls += 1
                if call.arguments:
                    self._begun.add(call.index)
                return Chunk(tool_calls=(call,))
            case "tool-call-delta":
                return self._arguments(bodies.text(bodies.inside(_call_of(message), "function"), "arguments"))
            case "tool-call-end":
                # No piece of arguments came: an empty object is still one, and callers parse what they are given.
                return None if self._calls - 1 in self._begun else self._arguments("{}")
            case "message-end":
                return self._end(delta)
            case str():
                return None
        if isinstance(data.get("message"), str):
            raise read_error(data, status=502, headers={})
        raise bodies.malformed("The provider sent an event without a type.")

    def _arguments(self, text: str) -> Chunk | None:
        if not text or not self._calls:
            return None
        self._begun.add(self._calls - 1)
        return Chunk(tool_calls=(ToolDelta(self._calls - 1, None, None, text),))

    def _end(self, delta: Mapping[str, Json]) -> Chunk:
        native = read_finish(delta)
        self.finish_seen = native is not None
        self.is_finished = True
        usage = read_usage(bodies.inside(delta, "usage"))
        return Chunk(finish_reason=finish(native), native_finish_reason=native, usage=usage)


def _call_of(message: Mapping[str, Json]) -> Mapping[str, Json]:
    return bodies.inside(message, "tool_calls")
