"""Streams made of server-sent events: what their readers share, whatever the events say."""

from abc import ABC, abstractmethod

from marketplace.lib import sse
from routing.adapters import bodies
from routing.canonical import Chunk, UpstreamError


class EventReader(ABC):
    """Reads a body event by event. A dialect says in `take` what an event means, and sets the two marks."""

    __slots__ = ("_sse", "finish_seen", "is_finished")

    def __init__(self) -> None:
        self._sse = sse.Parser()
        self.finish_seen = False  # why the answer ended has been told: without it the end of the body is a cut
        self.is_finished = False  # nothing more needs to be read

    @abstractmethod
    def take(self, event: sse.Event) -> Chunk | None:
        """What an event brings; None: nothing for the caller. Raises UpstreamError."""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete. Raises UpstreamError(kind malformed or what an event says)."""
        try:
            return self._read(self._sse.feed(data))
        except sse.EventTooLarge:
            raise bodies.malformed("The provider sent an event that is too large.") from None

    def finish(self) -> list[Chunk]:
        """The end of the body. Raises UpstreamError(kind cut) when the answer's end has not come."""
        try:
            chunks = self._read(self._sse.finish())
        except UpstreamError as error:
            if error.kind != "malformed":
                raise
            chunks = []  # half an event: the body was cut inside it
        if not self.finish_seen:
            raise UpstreamError("The provider's stream was cut off.", kind="cut", retryable=True)
        return chunks

    def _read(self, events: list[sse.Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            if self.is_finished:
                break
            if event.data and (chunk := self.take(event)) is not None:
                chunks.append(chunk)
        return chunks
