"""The order of turns in the Messages dialect: who begins, which results answer which calls.

Consecutive turns of one role are one turn. Results leave it as messages of their own, ahead of the words.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from routing.canonical import Message, Part, ToolCall, ToolResult
from routing.ingress import fields


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as it was sent, and its place in the body."""

    role: str
    parts: tuple[Part, ...]
    where: str


def arrange(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The turns as canonical messages. Raises InvalidRequest where their order makes no conversation."""
    merged = _merged(turns)
    first = next((turn for turn in merged if turn.role != "system"), None)
    if first is None or first.role != "user":
        where = first.where if first else "messages"
        raise fields.wrong(f"{where}.role", 'must be "user": a conversation begins with a message of the user')
    messages: list[Message] = []
    seen: set[str] = set()
    for place, turn in enumerate(merged):
        before = merged[place - 1] if place else None
        _check_results(turn, open_calls=_calls(before) if before else [])
        calls = _calls(turn)
        _check_calls(turn, calls, seen, after=merged[place + 1] if place + 1 < len(merged) else None)
        messages += _messages(turn)
    return tuple(messages)


def _merged(turns: Iterable[Turn]) -> list[Turn]:
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = Turn(turn.role, merged[-1].parts + turn.parts, merged[-1].where)
        elif turn.parts:
            merged.append(turn)
    return merged


def _calls(turn: Turn) -> list[str]:
    return [part.id for part in turn.parts if isinstance(part, ToolCall)]


def _results(turn: Turn) -> list[str]:
    return [part.call_id for part in turn.parts if isinstance(part, ToolResult)]


def _check_results(turn: Turn, *, open_calls: Sequence[str]) -> None:
    results = Counter(_results(turn))
    if strange := sorted(results.keys() - set(open_calls)):
        raise fields.wrong(
            turn.where, f"has tool_result blocks without a tool_use in the message before: {', '.join(strange)}"
        )
    if twice := sorted(call_id for call_id, count in results.items() if count > 1):
        raise fields.wrong(turn.where, f"has more than one tool_result for: {', '.join(twice)}")


def _check_calls(turn: Turn, calls: Sequence[str], seen: set[str], *, after: Turn | None) -> None:
    for call_id in calls:
        if call_id in seen:
            raise fields.wrong(turn.where, f"uses the tool_use id {call_id} again")
        seen.add(call_id)
    answered = _results(after) if after else []
    if unanswered := [call_id for call_id in calls if call_id not in answered]:
        raise fields.wrong(
            turn.where, f"has tool_use blocks without a tool_result in the message after: {', '.join(unanswered)}"
        )


def _messages(turn: Turn) -> list[Message]:
    results = [Message("tool", (part,)) for part in turn.parts if isinstance(part, ToolResult)]
    words = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
    return [*results, Message(turn.role, words)] if words else results
