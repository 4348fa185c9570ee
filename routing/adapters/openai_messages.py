"""Canonical messages written in the OpenAI chat dialect, with the small differences that its alikes have."""

import hashlib
from collections.abc import Iterable, Mapping

from marketplace.lib.ids import base62
from routing.adapters import media
from routing.adapters.breakpoints import breakpoint_of
from routing.adapters.dialect import Dialect
from routing.canonical import (
    Audio,
    File,
    Image,
    Json,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Video,
)


def write_message(message: Message, dialect: Dialect) -> dict[str, Json]:
    """One message of the request's `messages`."""
    role = "system" if message.role == "developer" and not dialect.has_developer_role else message.role
    written: dict[str, Json] = {"role": role}
    if message.name is not None and dialect.takes_names:
        written["name"] = message.name
    result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
    if result is not None:
        return written | {
            "tool_call_id": call_id(result.call_id, dialect),
            "content": _content(result.parts, dialect),
        }
    calls = [_tool_call(part, dialect) for part in message.parts if isinstance(part, ToolCall)]
    words = [part for part in message.parts if not isinstance(part, ToolCall | Reasoning)]
    written["content"] = _content(words, dialect) if words or not calls else None
    if calls:
        written["tool_calls"] = calls
    thoughts = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
    if thoughts and dialect.reasoning_field:
        written[dialect.reasoning_field] = thoughts
    return written


def write_tool(tool: ToolSpec, dialect: Dialect) -> dict[str, Json]:
    """One entry of `tools`."""
    function: dict[str, Json] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None and dialect.takes_strict_tools:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def call_id(given: str, dialect: Dialect) -> str:
    """The id of a tool call as this dialect admits it; the same id is always written the same."""
    size = dialect.tool_id_length
    if size is None or (len(given) == size and given.isascii() and given.isalnum()):
        return given
    digest = int.from_bytes(hashlib.sha256(given.encode()).digest()[:16])
    return base62(digest, width=size)[-size:]


def _tool_call(call: ToolCall, dialect: Dialect) -> dict[str, Json]:
    function = {"name": call.name, "arguments": call.arguments}
    extra = call.extra if dialect.passes_unknown else {}
    return {"id": call_id(call.id, dialect), "type": "function", "function": function, **extra}


def _content(parts: Iterable[Part], dialect: Dialect) -> Json:
    written = [_part(part, dialect) for part in parts]
    if all(set(part) == {"type", "text"} and part["type"] == "text" for part in written) and len(written) <= 1:
        return written[0]["text"] if written else ""
    return written


def _part(part: Part, dialect: Dialect) -> dict[str, Json]:
    written = _plain_part(part, dialect)
    return written | breakpoint_of(part) if dialect.has_breakpoints else written


def _plain_part(part: Part, dialect: Dialect) -> dict[str, Json]:
    match part:
        case Text(text, extra):
            return {"type": "text", "text": text, **_marks(extra, dialect)}
        case Refusal(text):
            return {"type": "text", "text": text}
        case Image(url, extra):
            return {"type": "image_url", "image_url": {"url": url, **_marks(extra, dialect)}}
        case Video(None, frames, extra):
            return {"type": "video", "video": list(frames), **extra}
        case Video(url, _, extra):
            return {"type": "video_url", "video_url": {"url": url, **extra}}
        case Audio(data, _, url) if dialect.has_plain_sound:
            return {"type": "input_audio", "input_audio": data if url is None else url}
        case Audio(data, form, url) if dialect.has_sound_urls:
            return _audio(url or f"data:;base64,{data}", form, None, {})
        case Audio(data, form, url, extra):
            return _audio(data, form, url, extra)
        case File() if dialect.has_document_parts:
            return _document(part)
        case File():
            return {"type": "file", "file": _file(part)}
    raise TypeError(f"{type(part).__name__} is no content of a message")


def _marks(extra: Mapping[str, Json], dialect: Dialect) -> dict[str, Json]:
    return {name: value for name, value in extra.items() if name in dialect.part_marks or dialect.passes_unknown}


def _audio(data: str | None, form: str | None, url: str | None, extra: Mapping[str, Json]) -> dict[str, Json]:
    if url is not None:
        return {"type": "audio_url", "audio_url": {"url": url, **extra}}
    audio = {"data": data} if form is None else {"data": data, "format": form}
    return {"type": "input_audio", "input_audio": audio}


def _file(part: File) -> dict[str, Json]:
    named = {"filename": part.filename, "file_data": part.data or part.url, "file_id": part.file_id}
    return {name: value for name, value in named.items() if value is not None}


def _document(part: File) -> dict[str, Json]:
    """A PDF by address, of the web or a data URL."""
    if part.url is None and part.data is None:  # an id would be looked up among the operator's own files
        raise media.unfit("Files by id cannot be sent to this provider; send the file's data or its address.")
    url = part.url or part.data or ""
    if part.url is None and not media.is_data_url(url):
        url = f"data:{media.type_of(part.filename or '', fallback='application/pdf')};base64,{url}"
    named = {"document_name": part.filename} if part.filename else {}
    return {"type": "document_url", "document_url": url, **named}
