"""Server-sent events: the bytes of one event, and a parser fed with bytes as they arrive."""

import re
from dataclasses import dataclass
from typing import Final

DONE: Final = b"data: [DONE]\n\n"
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event (or one unfinished line) is longer than the parser was told to keep."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event; `event` and `id` are None where the stream named none."""

    data: str
    event: str | None = None
    id: str | None = None


def event(data: str | bytes, event: str | None = None, id: str | None = None) -> bytes:
    """The bytes of one event. Line ends in `data` make several data lines; in `event` and `id` they are refused."""
    raw = data.encode() if isinstance(data, str) else data
    head = b""
    for field, value in ((b"event", event), (b"id", id)):
        if value is not None:
            if "\n" in value or "\r" in value:
                raise ValueError(f"{field.decode()} of an event must be one line")
            head += field + b": " + value.encode() + b"\n"
    if b"\n" not in raw and b"\r" not in raw:
        return head + b"data: " + raw + b"\n\n"
    return head + b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(raw)) + b"\n"


def comment(text: str) -> bytes:
    """A comment line, which readers drop: what keeps a silent connection open."""
    return b"".join(b": " + line + b"\n" for line in _LINE_END.split(text.encode())) + b"\n"


class Parser:
    """Incremental reader. Where the bytes are cut never changes the events that come out."""

    __slots__ = ("_data", "_event", "_held", "_id", "_line", "_max", "_skip_lf", "_started")

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._line = bytearray()  # the line that has not ended yet
        self._data: list[bytes] = []
        self._event: str | None = None
        self._id: str | None = None
        self._held = 0  # bytes in _data
        self._skip_lf = False  # the last feed ended in CR: an LF now belongs to it
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by `chunk`. Raises EventTooLarge when an event outgrows the bound."""
        if not chunk:
            return []
        if self._skip_lf:
            self._skip_lf = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        events: list[Event] = []
        *ended, rest = _LINE_END.split(chunk)
        for piece in ended:
            if self._line:
                self._line += piece
                piece = bytes(self._line)
                self._line.clear()
            self._take(piece, events)
        self._line += rest
        self._bound(len(self._line))
        self._skip_lf = chunk[-1:] == b"\r"
        return events

    def finish(self) -> list[Event]:
        """The event that the end of the body left without its empty line, if it had any data."""
        events: list[Event] = []
        if self._line:
            self._take(bytes(self._line), events)
            self._line.clear()
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                data = b"\n".join(self._data).decode("utf-8", "replace")
                events.append(Event(data, self._event, self._id))
            self._data = []
            self._event = None
            self._held = 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._held += len(value) + 1
            self._bound(self._held)
            self._data.append(value)
        elif field == b"event":
            self._bound(len(value))
            self._event = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._bound(len(value))
            self._id = value.decode("utf-8", "replace")

    def _bound(self, size: int) -> None:
        if size > self._max:
            raise EventTooLarge(f"an event of the stream is longer than {self._max} bytes")
