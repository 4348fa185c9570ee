"""What guardrails make of a request: its words screened, its preferences tightened, its endpoints narrowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar, cast

import orjson

from marketplace.services.guardrails import Policy
from routing.canonical import ChatRequest, Message, Part, Routed, Text, ToolCall, ToolResult
from routing.operations.rerank import Document
from routing.services.routes import Route

Q = TypeVar("Q", bound=Routed)
# Where requests other than chats carry words for the model.
TEXTS: Final = ("prompt", "negative_prompt", "instructions", "text", "input", "inputs", "query", "documents")


def screened(request: Q, policy: Policy) -> Q:
    """The request as it may go out: what is to be redacted taken out of its texts, preferences tightened.

    Raises Forbidden when it holds what is blocked. Which models may be used is asked when it is known what its
    names mean (services.naming).
    """
    wishes = request.preferences
    if policy.zdr or policy.deny_data_collection:
        collection = "deny" if policy.deny_data_collection else wishes.data_collection
        wishes = dataclasses.replace(wishes, zdr=wishes.zdr or policy.zdr, data_collection=collection)
    changes: dict[str, Any] = {"preferences": wishes}
    if policy.filters and isinstance(request, ChatRequest):
        changes["messages"] = tuple(_message(one, policy) for one in request.messages)
    elif policy.filters:
        given = cast(Any, request)
        changes |= {name: _value(getattr(given, name), policy) for name in TEXTS if hasattr(given, name)}
    changed: Q = dataclasses.replace(cast(Any, request), **changes)
    return changed


def narrowed(groups: Sequence[Sequence[Route]], policy: Policy) -> list[list[Route]]:
    """The endpoints of providers that may serve. Raises Forbidden when that leaves none of several."""
    kept = [[route for route in group if policy.admits_provider(route.candidate.provider)] for group in groups]
    if any(groups) and not any(kept):
        out = sorted({route.candidate.provider for route in _flat(groups)})
        raise policy.refusal(f"none of the providers {', '.join(out)} may serve", providers=out)
    return kept


def _flat(groups: Sequence[Sequence[Route]]) -> Iterable[Route]:
    return (route for group in groups for route in group)


def _value(value: Any, policy: Policy) -> Any:
    match value:
        case str():
            return policy.text(value)
        case tuple() | list():
            return type(value)(_value(one, policy) for one in value)
        case Text():
            return _part(value, policy, is_users=True)
        case Document():
            return dataclasses.replace(value, text=policy.text(value.text))
    return value


def _message(message: Message, policy: Policy) -> Message:
    is_users = message.role == "user"
    return dataclasses.replace(message, parts=tuple(_part(part, policy, is_users=is_users) for part in message.parts))


def _part(part: Part, policy: Policy, *, is_users: bool) -> Part:
    match part:
        case Text():
            return dataclasses.replace(part, text=policy.text(part.text, is_users=is_users))
        case ToolResult():
            inner: Any = tuple(_part(one, policy, is_users=is_users) for one in part.parts)
            return dataclasses.replace(part, parts=inner)
        case ToolCall():
            return dataclasses.replace(part, arguments=_arguments(part.arguments, policy, is_users=is_users))
    return part


def _arguments(text: str, policy: Policy, *, is_users: bool) -> str:
    found = policy.text(text, is_users=is_users)
    if found == text:
        return text
    try:
        orjson.loads(found)
    except orjson.JSONDecodeError:
        raise policy.refusal("a tool call's arguments hold what cannot be taken out of them whole") from None
    return found
