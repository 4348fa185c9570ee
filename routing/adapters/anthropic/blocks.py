"""Canonical parts written as Anthropic's content blocks."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import orjson

from marketplace.lib.ids import base62
from routing.adapters import media
from routing.canonical import File, Image, Json, Part, Reasoning, Refusal, Text, ToolCall, ToolResult

FORMAT: Final = "anthropic-claude-v1"  # of reasoning_details that are Claude's own
MARK: Final = {"type": "ephemeral"}
_TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")

Block = dict[str, Json]


def write_parts(parts: Iterable[Part]) -> list[Block]:
    """The blocks of a turn. Raises UpstreamError(kind invalid) for a part that the dialect cannot carry."""
    return [block for part in parts for block in _part(part)]


def tool_id(given: str) -> str:
    """The id of a tool call as this dialect admits it; the same id is always written the same."""
    if _TOOL_ID.fullmatch(given):
        return given
    return "toolu_" + base62(int.from_bytes(hashlib.sha256(given.encode()).digest()[:16]), width=22)


def mark_of(extra: Mapping[str, Json]) -> Json:
    """The cache mark on a part, in this dialect's words: its own, or OpenAI's breakpoint. None: unmarked."""
    mark = extra.get("cache_control")
    if isinstance(mark, dict):
        return mark
    return dict(MARK) if extra.get("prompt_cache_breakpoint") else None


def _part(part: Part) -> Iterator[Block]:
    match part:
        case Text(text, extra):
            if text.strip():  # a block without a word is refused
                yield _marked({"type": "text", "text": text}, extra)
        case Refusal(text):
            if text.strip():
                yield {"type": "text", "text": text}
        case Image(url, extra):
            yield _marked({"type": "image", "source": _source(url, fallback="image/jpeg")}, extra)
        case File():
            yield _marked(_file(part), part.extra)
        case Reasoning(_, details):
            yield from _thoughts(details)
        case ToolCall(call_id, name, arguments):
            yield {"type": "tool_use", "id": tool_id(call_id), "name": name, "input": _input(arguments)}
        case ToolResult():
            yield _tool_result(part)
        case _:
            raise media.unfit(f"This provider takes no {type(part).__name__.lower()} input.")


def _marked(block: Block, extra: Mapping[str, Json]) -> Block:
    mark = mark_of(extra)
    return block if mark is None else block | {"cache_control": mark}


def _source(url: str, *, fallback: str) -> Block:
    if media.is_data_url(url):
        inline = media.read_data_url(url, fallback=fallback)
        return {"type": "base64", "media_type": inline.media_type, "data": inline.data}
    return {"type": "url", "url": url}


def _file(part: File) -> Block:
    titled: Block = {"title": part.filename} if part.filename else {}
    if part.url is not None:
        return {"type": "document", "source": {"type": "url", "url": part.url}, **titled}
    if part.data is None:  # an id of a file at the provider: it would be looked up among the operator's own
        raise media.unfit("Files by id cannot be sent to this provider; send the file's data or its address.")
    fallback = media.type_of(part.filename or "", fallback="application/pdf")
    inline = media.Inline(fallback, part.data)
    if media.is_data_url(part.data):
        inline = media.read_data_url(part.data, fallback=fallback)
    if inline.media_type.startswith("image/"):
        return {"type": "image", "source": {"type": "base64", "media_type": inline.media_type, "data": inline.data}}
    if inline.media_type.startswith("text/"):
        if not media.is_base64(inline.data):
            raise media.unfit(f"The file {part.filename or ''} is not valid base64.")
        return {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": inline.decoded()},
            **titled,
        }
    source = {"type": "base64", "media_type": inline.media_type, "data": inline.data}
    return {"type": "document", "source": source, **titled}


def _thoughts(details: Iterable[Mapping[str, Json]]) -> Iterator[Block]:
    """Claude's own thoughts as they were: pieces of one block joined, unsigned ones left out (they are refused)."""
    open_block: Block | None = None
    place: Json = None
    for detail in details:
        if detail.get("format") not in (FORMAT, None):
            continue  # another maker's: nothing here could read its signature
        if detail.get("type") == "reasoning.encrypted" and isinstance(detail.get("data"), str):
            yield from _signed(open_block)
            open_block = None
            yield {"type": "redacted_thinking", "data": detail["data"]}
        elif detail.get("type") == "reasoning.text":
            if open_block is None or open_block["signature"] or detail.get("index") != place:
                yield from _signed(open_block)
                open_block, place = {"type": "thinking", "thinking": "", "signature": ""}, detail.get("index")
            open_block["thinking"] += detail.get("text") or ""
            open_block["signature"] += detail.get("signature") or ""
    yield from _signed(open_block)


def _signed(block: Block | None) -> Iterator[Block]:
    if block is not None and block["signature"]:
        yield block


def _input(arguments: str) -> Json:
    """The arguments as the object that this dialect wants, whatever the model had written."""
    if not arguments.strip():
        return {}
    try:
        found = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}


def _tool_result(result: ToolResult) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": tool_id(result.call_id)}
    content = write_parts(result.parts)
    # A mark belongs on the result as a whole: what is inside it cannot be a breakpoint.
    marks = [mark for inner in content if (mark := inner.pop("cache_control", None)) is not None]
    if content:
        only_words = len(content) == 1 and content[0]["type"] == "text"
        block["content"] = content[0]["text"] if only_words else content
    return block | {"cache_control": marks[-1]} if marks else block
