"""Whether the tool calls of an answer can be used: what `:exacto` weighs an endpoint by. Pure."""

import json
from collections.abc import Collection, Iterable
from typing import Final

from routing.canonical import ToolDelta

MOST_CHARACTERS: Final = 1_000_000  # of one answer's arguments; beyond them nothing is judged


class ToolCalls:
    """The tool calls of one answer, put together from its pieces."""

    __slots__ = ("_characters", "_names", "_parts")

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._parts: dict[int, list[str]] = {}
        self._characters = 0

    def take(self, deltas: Iterable[ToolDelta]) -> None:
        """The next pieces."""
        for delta in deltas:
            if delta.name:
                self._names[delta.index] = delta.name
            self._characters += len(delta.arguments)
            if self._characters <= MOST_CHARACTERS:
                self._parts.setdefault(delta.index, []).append(delta.arguments)

    def are_malformed(self, *, offered: Collection[str]) -> bool | None:
        """Whether one calls what was not offered, or with arguments that are no JSON object; None without any.

        To be asked of whole answers: one that was cut short at its length says nothing. No arguments at all are
        what some providers send for a tool that takes none.
        """
        if not self._parts or self._characters > MOST_CHARACTERS:
            return None
        if not all(self._names.get(index) in offered for index in self._parts):
            return True
        return not all(_is_object("".join(parts)) for parts in self._parts.values())


def _is_object(text: str) -> bool:
    if not text.strip():
        return True
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
