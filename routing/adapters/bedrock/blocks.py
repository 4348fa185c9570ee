"""Canonical parts written as Converse's content blocks: media inline or in S3, never by http address."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import orjson

from marketplace.lib.ids import base62
from routing.adapters import media
from routing.canonical import (
    Audio,
    File,
    Image,
    Json,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Video,
)

# Signed thoughts are Claude's own, good here and with Anthropic; hidden ones are wrapped once more here.
CLAUDE: Final = "anthropic-claude-v1"
FORMAT: Final = "bedrock-converse-v1"
IMAGES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif",
                 "image/webp": "webp"}  # fmt: skip
DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt", "text/markdown": "md",
    "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
VIDEOS: Final = {"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/mpeg": "mpeg",
                 "video/x-matroska": "mkv", "video/x-flv": "flv", "video/x-ms-wmv": "wmv"}  # fmt: skip
_TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9\s\-()\[\]]+")  # what a document's name may not hold

Block = dict[str, Json]


def write_parts(parts: Iterable[Part]) -> list[Block]:
    """The blocks of a turn. Raises UpstreamError(kind invalid, retryable) for what the dialect cannot carry."""
    return [block for part in parts for block in _part(part)]


def tool_id(given: str) -> str:
    """The id of a tool call as this dialect admits it; the same id is always written the same."""
    if _TOOL_ID.fullmatch(given):
        return given
    return "tooluse_" + base62(int.from_bytes(hashlib.sha256(given.encode()).digest()[:16]), width=22)


def _part(part: Part) -> Iterator[Block]:
    match part:
        case Text(text, extra):
            if text.strip():  # a block without a word is refused
                yield {"text": text}
                yield from _mark(extra)
        case Refusal(text):
            if text.strip():
                yield {"text": text}
        case Image(url, extra):
            yield {"image": _medium(url, IMAGES, fallback="image/jpeg", what="images")}
            yield from _mark(extra)
        case Audio(data, form, url):
            yield {"audio": _audio(data, form, url)}
        case Video(None, frames):
            yield from ({"image": _medium(frame, IMAGES, fallback="image/jpeg", what="images")} for frame in frames)
        case Video(url):
            yield {"video": _medium(url or "", VIDEOS, fallback="video/mp4", what="videos")}
        case File():
            yield _file(part)
            yield from _mark(part.extra)
        case Reasoning(_, details):
            yield from _thoughts(details)
        case ToolCall(call_id, name, arguments):
            yield {"toolUse": {"toolUseId": tool_id(call_id), "name": name, "input": _input(arguments)}}
        case ToolResult():
            yield _result(part)
            yield from _mark(part.extra)


def _mark(extra: Mapping[str, Json]) -> Iterator[Block]:
    """A cache mark is a block of its own here, after what it marks."""
    if isinstance(extra.get("cache_control"), dict) or extra.get("prompt_cache_breakpoint"):
        yield {"cachePoint": {"type": "default"}}


def _medium(url: str, formats: Mapping[str, str], *, fallback: str, what: str) -> Block:
    if url.startswith("s3://"):
        form = formats.get(media.type_of(url, fallback=fallback)) or next(iter(formats.values()))
        return {"format": form, "source": {"s3Location": {"uri": url}}}
    if not media.is_data_url(url):
        raise media.unfit(f"This provider takes {what} as data only, not by address.")
    inline = media.read_data_url(url, fallback=fallback)
    if inline.media_type not in formats:
        raise media.unfit(f"This provider takes no {what} of the type {inline.media_type}.")
    return {"format": formats[inline.media_type], "source": {"bytes": inline.data}}


def _audio(data: str | None, form: str | None, url: str | None) -> Block:
    if url is None:
        return {"format": form or "wav", "source": {"bytes": data or ""}}
    if not media.is_data_url(url):
        raise media.unfit("This provider takes sound as data only, not by address.")
    inline = media.read_data_url(url, fallback="audio/wav")
    kind = inline.media_type.partition("/")[2].removeprefix("x-")
    return {"format": kind, "source": {"bytes": inline.data}}


def _file(part: File) -> Block:
    if part.data is None:
        raise media.unfit("This provider takes files as data only, not by address or id.")
    fallback = media.type_of(part.filename or "", fallback="application/pdf")
    is_url = media.is_data_url(part.data)
    inline = media.read_data_url(part.data, fallback=fallback) if is_url else media.Inline(fallback, part.data)
    if inline.media_type in IMAGES:
        return {"image": {"format": IMAGES[inline.media_type], "source": {"bytes": inline.data}}}
    if inline.media_type not in DOCUMENTS:
        raise media.unfit(f"This provider takes no files of the type {inline.media_type}.")
    stem = (part.filename or "document").rpartition("/")[2].rpartition(".")
    name = " ".join(_NO_NAME.sub(" ", stem[0] or stem[2]).split())[:200] or "document"
    return {"document": {"format": DOCUMENTS[inline.media_type], "name": name, "source": {"bytes": inline.data}}}


def _thoughts(details: Iterable[Mapping[str, Json]]) -> Iterator[Block]:
    """Earlier thoughts as they were: pieces of one block joined, unsigned ones left out (they are refused)."""
    blocks: dict[Json, dict[str, str]] = {}
    for detail in details:
        kind, form = detail.get("type"), detail.get("format")
        if (kind, form) == ("reasoning.encrypted", FORMAT) and _is_blob(detail.get("data")):
            yield {"reasoningContent": {"redactedContent": detail["data"]}}
        elif (kind, form) == ("reasoning.text", CLAUDE):
            block = blocks.setdefault(detail.get("index"), {"text": "", "signature": ""})
            block["text"] += detail.get("text") or ""
            block["signature"] += detail.get("signature") or ""
    yield from ({"reasoningContent": {"reasoningText": block}} for block in blocks.values() if block["signature"])


def _is_blob(data: Json) -> bool:
    try:
        return isinstance(data, str) and bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


def _input(arguments: str) -> Json:
    """The arguments as the object that this dialect wants, whatever the model had written."""
    if not arguments.strip():
        return {}
    try:
        found = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}


def _result(result: ToolResult) -> Block:
    content = [block for block in write_parts(result.parts) if "cachePoint" not in block]
    written: Block = {"toolUseId": tool_id(result.call_id), "content": content or [{"text": " "}]}
    return {"toolResult": written | {"status": "error"} if result.is_error else written}
