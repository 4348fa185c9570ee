"""Reads one JSON object that arrives in pieces and keeps of each key only so much, whatever its size. Pure.

A model that prints 100 MB sends them back in one line; that line is walked through without being held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

STRING: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
PLAIN: Final = re.compile(rb'[^"{}\[\],:]*')
OPEN: Final = b"{["
CLOSE: Final = b"}]"
MAX_KEY: Final = 100
MAX_DEPTH: Final = 1000


class Picker:
    """Feed it the bytes; then `values` holds each key's raw JSON, and `cut` the keys whose value was longer."""

    def __init__(self, *, caps: Mapping[str, int], default: int) -> None:
        self.values: dict[str, bytearray] = {}
        self.cut: set[str] = set()
        self._caps, self._default = caps, default
        self._depth = 0
        self._in_string = self._in_key = self._wants_key = False
        self._key = bytearray()
        self._name = ""
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Some more bytes. Raises ValueError when they cannot be part of an object."""
        data, position = self._rest + data, 0
        self._rest = b""
        while position < len(data):
            position = self._string(data, position) if self._in_string else self._plain(data, position)
            if self._rest:
                return

    def _string(self, data: bytes, position: int) -> int:
        found = STRING.match(data, position)
        end = found.end() if found else position
        self._keep(data[position:end])
        if end == len(data):
            return end
        if data[end : end + 1] == b"\\":  # its second half comes with the next piece
            self._rest = data[end:]
            return end
        self._keep(b'"')
        self._in_string = self._in_key = False
        return end + 1

    def _plain(self, data: bytes, position: int) -> int:
        found = PLAIN.match(data, position)
        end = found.end() if found else position
        if self._name:
            self._keep(data[position:end])
        if end == len(data):
            return end
        self._sign(data[end : end + 1])
        return end + 1

    def _sign(self, sign: bytes) -> None:
        if sign == b'"':
            self._in_string = True
            if self._depth == 1 and self._wants_key:
                self._in_key, self._key = True, bytearray()
            self._keep(b'"')
        elif sign in OPEN:
            if self._depth:
                self._keep(sign)
            elif sign != b"{":
                raise ValueError("not a JSON object")
            self._depth += 1
            self._wants_key = self._depth == 1
            if self._depth > MAX_DEPTH:
                raise ValueError(f"JSON nested deeper than {MAX_DEPTH}")
        elif sign in CLOSE:
            self._depth -= 1
            if self._depth > 0:
                self._keep(sign)
            else:
                self._name = ""
        elif sign == b":" and self._depth == 1:
            self._name = str(json.loads(bytes(self._key)))
            self.values[self._name] = bytearray()
            self._wants_key = False
        elif sign == b"," and self._depth == 1:
            self._name, self._wants_key = "", True
        else:
            self._keep(sign)

    def _keep(self, piece: bytes) -> None:
        if self._in_key:
            self._key += piece
            if len(self._key) > MAX_KEY:
                raise ValueError("a key of the JSON object is too long")
        elif self._name:
            kept = self.values[self._name]
            room = self._caps.get(self._name, self._default) - len(kept)
            if len(piece) > room:
                self.cut.add(self._name)
            kept += piece[: max(room, 0)]

    def read(self, name: str) -> Any:
        """The value of this key, None when it is not there. Raises ValueError when it was cut or is no JSON."""
        if name in self.cut:
            raise ValueError(f"{name} is too long")
        raw = self.values.get(name)
        return None if raw is None else json.loads(bytes(raw))

    def text(self, name: str) -> str:
        """The text of this key as far as it was kept; empty when it is no text."""
        raw = bytes(self.values.get(name, b""))
        if name not in self.cut:
            value = json.loads(raw) if raw else ""
            return value if isinstance(value, str) else ""
        # Cut somewhere inside: an escape takes up to 12 bytes (a surrogate pair), a character up to 4.
        for shorter in range(13):
            try:
                value = json.loads(raw[: len(raw) - shorter] + b'"')
            except ValueError:
                continue
            return str(value).encode("utf-8", "replace").decode() if isinstance(value, str) else ""
        return ""
