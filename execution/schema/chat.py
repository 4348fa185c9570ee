"""Versions that serve chats: what they offer stands in their schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from execution.schema.document import INPUT, OUTPUT, Schema

CHAT: Final = "x-turnpike-chat"


def of_chat(offer: Mapping[str, int]) -> dict[str, Any]:
    """The schema of a version that serves chats: it takes no inputs of a prediction, and says what it offers."""
    schemas = {INPUT: {"type": "object", "title": INPUT, "properties": {}}, OUTPUT: {"type": "string", "title": OUTPUT}}
    info = {"title": "Chat", "version": "1"}
    return {"openapi": "3.0.2", "info": info, "paths": {}, "components": {"schemas": schemas}, CHAT: dict(offer)}


def chat_offer(document: Schema) -> Mapping[str, int] | None:
    """What a version that serves chats offers, under the names of package.Chat; None for one that runs predictions."""
    found = document.get(CHAT)
    return found if isinstance(found, Mapping) else None
