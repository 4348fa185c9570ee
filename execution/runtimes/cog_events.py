"""Cog's server-sent events out of bytes, with every part of them bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from execution.runtimes.picker import Picker

SMALL: Final = 64 * 1024


@dataclass(slots=True)
class Message:
    """One event: its name and the parts of its data that were kept."""

    name: str
    data: Picker


class Events:
    """Server-sent events out of bytes. Each event's data is one line of JSON, as Cog writes it; longer ones are cut."""

    def __init__(self, caps: Mapping[str, Mapping[str, int]]) -> None:
        self.unwanted: set[str] = set()  # events of these names are passed over unread, which is much faster
        self._caps = caps
        self._name = ""
        self._head = b""
        self._picker: Picker | None = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The events completed by these bytes. Raises ValueError on what is no such stream."""
        *lines, last = data.split(b"\n")
        for line in lines:
            self._piece(line)
            if self._picker is not None:
                yield Message(self._name, self._picker)
                self._picker = None
            elif self._head.startswith(b"event:"):
                self._name = self._head[6:].strip().decode("utf-8", "replace")
            self._head = b""
        self._piece(last)

    def _piece(self, piece: bytes) -> None:
        """Some of a line, which may come in many pieces."""
        if self._picker is not None:
            self._picker.feed(piece)
            return
        self._head += piece
        if self._head.startswith(b"data:"):
            if self._name in self.unwanted:
                self._head = b"data:"
                return
            self._picker = Picker(caps=self._caps.get(self._name, {}), default=SMALL)
            self._picker.feed(self._head[5:])
        elif len(self._head) > SMALL:
            raise ValueError("a line without data is too long")
