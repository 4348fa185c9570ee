"""A streamed response, read event by event; response.completed or response.incomplete is its clean end."""

from collections.abc import Mapping

from marketplace.lib import sse
from routing.adapters import bodies
from routing.adapters.events import EventReader
from routing.adapters.openai_responses.response import encrypted, failed, read_call, read_end, read_usage, summary
from routing.canonical import Chunk, Json, ToolDelta


class ResponsesStream(EventReader):
    """Reads the named events of one response. Those that only repeat what came in pieces are passed over."""

    __slots__ = ("_calls", "_with_arguments")

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[Json, int] = {}  # by the item's place in the output
        self._with_arguments: set[int] = set()

    def take(self, event: sse.Event) -> Chunk | None:
        """What one event brings."""
        data = bodies.read_object(event.data, "event")
        place = data.get("output_index")
        match data.get("type"):
            case "response.output_text.delta":
                probabilities = bodies.objects(data, "logprobs")
                logprobs = {"content": probabilities} if probabilities else None
                return Chunk(text=bodies.text(data, "delta"), logprobs=logprobs)
            case "response.refusal.delta":
                return Chunk(refusal=bodies.text(data, "delta"))
            case "response.reasoning_summary_part.added" if data.get("summary_index"):
                return _thought(place, "\n\n")
            case "response.reasoning_summary_text.delta":
                return _thought(place, bodies.text(data, "delta"))
            case "response.reasoning_text.delta":
                return Chunk(reasoning=bodies.text(data, "delta"))
            case "response.output_text.annotation.added":
                return Chunk(extra={"annotations": [data.get("annotation")]})
            case "response.output_item.added":
                return self._added(place, bodies.inside(data, "item"))
            case "response.function_call_arguments.delta":
                return self._arguments(place, bodies.text(data, "delta"))
            case "response.output_item.done":
                return self._done(place, bodies.inside(data, "item"))
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                return self._end(bodies.inside(data, "response"))
            case "error":
                raise failed(data)
            case str():
                return None
        if data.get("error"):
            raise failed(data)
        raise bodies.malformed("The provider sent an event without a type.")

    def _added(self, place: Json, item: Mapping[str, Json]) -> Chunk | None:
        if item.get("type") != "function_call":
            return None
        call = read_call(len(self._calls), item, bodies.text(item, "arguments"))
        self._calls[_place(place)] = call.index
        if call.arguments:
            self._with_arguments.add(call.index)
        return Chunk(tool_calls=(call,))

    def _arguments(self, place: Json, text: str) -> Chunk | None:
        index = self._calls.get(_place(place))
        if index is None or not text:
            return None
        self._with_arguments.add(index)
        return Chunk(tool_calls=(ToolDelta(index, None, None, text),))

    def _done(self, place: Json, item: Mapping[str, Json]) -> Chunk | None:
        if item.get("type") == "reasoning" and (details := encrypted(_place(place), item)):
            return Chunk(reasoning_details=tuple(details))
        index = self._calls.get(_place(place))
        if index is None or index in self._with_arguments:
            return None
        return self._arguments(place, bodies.text(item, "arguments") or "{}")  # some makers send them whole

    def _end(self, response: Mapping[str, Json]) -> Chunk:
        native, ended = read_end(response, calls=bool(self._calls))
        if ended is None:
            raise bodies.malformed("The provider ended a response without saying how.")
        self.finish_seen = self.is_finished = True
        usage = read_usage(bodies.inside(response, "usage"))
        return Chunk(finish_reason=ended, native_finish_reason=native, usage=usage)


def _thought(place: Json, text: str) -> Chunk:
    return Chunk(reasoning=text, reasoning_details=tuple(summary(_place(place), text)))


def _place(place: Json) -> int:
    if isinstance(place, bool) or not isinstance(place, int):
        raise bodies.malformed("The provider sent a piece of an item without its place.")
    return place
