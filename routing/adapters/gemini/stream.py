"""A streamed answer: a piece of a GenerateContentResponse in each event. No mark ends it, so a finish reason must."""

from typing import Final

from marketplace.lib import sse
from routing.adapters import bodies
from routing.adapters.gemini.response import Reader
from routing.canonical import Chunk, UpstreamError

KEYS: Final = frozenset({"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "error"})


class GeminiStream:
    """Reads `alt=sse` streams. The end of the body is the end of the answer, if a finish reason came before it."""

    __slots__ = ("_reader", "_sse")

    def __init__(self) -> None:
        self._sse = sse.Parser()
        self._reader = Reader()

    @property
    def is_finished(self) -> bool:
        """Never before the body ends: the dialect has no mark for it, and counts may follow the finish reason."""
        return False

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete. Raises UpstreamError(kind malformed or what an error event says)."""
        try:
            return self._read(self._sse.feed(data))
        except sse.EventTooLarge:
            raise bodies.malformed("The provider sent an event that is too large.") from None

    def finish(self) -> list[Chunk]:
        """The end of the body. Raises UpstreamError(kind cut) when no finish reason has come."""
        try:
            chunks = self._read(self._sse.finish())
        except UpstreamError as error:
            if error.kind != "malformed":
                raise
            chunks = []  # half an event: the body was cut inside it
        if not self._reader.finish_seen:
            raise UpstreamError("The provider's stream was cut off.", kind="cut", retryable=True)
        return chunks

    def _read(self, events: list[sse.Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            if not event.data:
                continue
            data = bodies.read_object(event.data, "event")
            if not data.keys() & KEYS:
                raise bodies.malformed("The provider sent an event that is no piece of an answer.")
            chunk = self._reader.read(data)
            if chunk.has_content or chunk.finish_reason or chunk.usage:
                chunks.append(chunk)
        return chunks
