"""Cache marks in OpenAI's words: a breakpoint on the part that ends what is worth keeping. How long is not said."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from routing.canonical import File, Image, Json, Message, Part, Text

FIELD: Final = "prompt_cache_breakpoint"
EXPLICIT: Final[Mapping[str, Json]] = {"mode": "explicit"}
KNOWING: Final = re.compile(r"\bgpt-(5\.([6-9]|\d\d)|[6-9]|[1-9]\d)(?!\d)")  # GPT-5.6 and later; earlier ones refuse it


def with_breakpoints(messages: tuple[Message, ...], *, upstream: str) -> tuple[Message, ...]:
    """The messages with a breakpoint where Anthropic's mark is, for a model that knows breakpoints."""
    if not KNOWING.search(upstream):
        return messages
    return tuple(replace(message, parts=tuple(map(_marked, message.parts))) for message in messages)


def _marked(part: Part) -> Part:
    if isinstance(part, Text | Image | File) and isinstance(part.extra.get("cache_control"), dict):
        return replace(part, extra={FIELD: dict(EXPLICIT)} | dict(part.extra))
    return part


def breakpoint_of(part: Part) -> dict[str, Json]:
    """The field of a written part that says it, where it has one."""
    extra = getattr(part, "extra", {})
    return {FIELD: extra[FIELD]} if extra.get(FIELD) else {}
