"""What a caller has in hand at the end of an answer, for comparing with the golden files."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from routing.adapters.registry import adapter_for
from routing.canonical import Chunk


def joined(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """Chunks put together as a caller does it; a tool call's arguments must come out as JSON."""
    chunks = list(chunks)
    calls: dict[int, dict[str, Any]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.setdefault(delta.index, {"id": None, "name": None, "arguments": ""})
        call["id"] = delta.id or call["id"]
        call["name"] = delta.name or call["name"]
        call["arguments"] += delta.arguments
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    return {
        "text": "".join(chunk.text for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks),
        "details": [detail for chunk in chunks for detail in chunk.reasoning_details],
        "refusal": "".join(chunk.refusal for chunk in chunks),
        "tool_calls": [call | {"arguments": json.loads(call["arguments"])} for call in calls.values()],
        "finish_reason": next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None),
        "native_finish_reason": next((c.native_finish_reason for c in chunks if c.native_finish_reason), None),
        "usage": usages[-1] if usages else None,
    }


def stream(kind: str, *pieces: bytes) -> list[Chunk]:
    """A stream read piece by piece to its end."""
    parser = adapter_for(kind).stream_parser()
    chunks = [chunk for piece in pieces for chunk in parser.feed(piece)]
    return chunks + parser.finish()


def pieces(body: bytes, size: int) -> list[bytes]:
    """The body in pieces of a size."""
    return [body[a:b] for a, b in pairwise([*range(0, len(body), size), len(body)])]
