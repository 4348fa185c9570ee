"""Content blocks of the Messages dialect, read into canonical parts.

Text documents and search results become text, so that every model can be asked about them; PDFs stay files.
"""

from collections.abc import Callable, Mapping
from typing import Final

import orjson

from routing.canonical import File, Image, Json, Part, Reasoning, Text, ToolCall, ToolResult
from routing.ingress import fields

FORMAT: Final = "anthropic-claude-v1"  # whose thoughts these are, in the reference's words
Content = Text | Image | File


def read_content(content: Json, where: str, *, role: str) -> tuple[Part, ...]:
    """A turn's content, a string or an array of blocks; an empty string gives no part. Raises InvalidRequest."""
    return _blocks(content, where, READERS[role]) if content != "" else ()


def marks(block: Mapping[str, Json], *names: str) -> dict[str, Json]:
    """Those of the named fields that are there and not null."""
    return {name: block[name] for name in names if block.get(name) is not None}


Read = Callable[[Mapping[str, Json], str], tuple[Part, ...]]


def _blocks(content: Json, where: str, readers: Mapping[str, Read]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise fields.wrong(where, "must be a string or an array of blocks")
    found: list[Part] = []
    for place, block in enumerate(content):
        here = f"{where}[{place}]"
        found += _reader(block, here, readers)(block, here)
    return tuple(found)


def _reader(block: Json, where: str, readers: Mapping[str, Read]) -> Read:
    kind = block.get("type") if isinstance(block, dict) else None
    read = readers.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise fields.wrong(f"{where}.type", f"must be one of {', '.join(sorted(readers))}")
    return read


def _text(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    return (Text(_string(block, "text", where), marks(block, "cache_control", "citations")),)


def _string(block: Mapping[str, Json], name: str, where: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise fields.wrong(f"{where}.{name}", "must be a string")
    return value


def _source(block: Mapping[str, Json], where: str, kinds: tuple[str, ...]) -> tuple[str, Mapping[str, Json]]:
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") not in kinds:
        raise fields.wrong(f"{where}.source.type", f"must be one of {', '.join(kinds)}")
    return source["type"], source


def _url(source: Mapping[str, Json], where: str) -> str:
    url = _string(source, "url", f"{where}.source")
    if not url.startswith(("https://", "http://")):
        raise fields.wrong(f"{where}.source.url", "must be an http(s) URL")
    return url


def _inline(source: Mapping[str, Json], where: str, *, family: str) -> str:
    """Base64 content as a data URL."""
    kind = _string(source, "media_type", f"{where}.source")
    data = _string(source, "data", f"{where}.source")
    if not kind.startswith(family):
        raise fields.wrong(f"{where}.source.media_type", f"must begin with {family}")
    if not data or data.startswith("data:"):
        raise fields.wrong(f"{where}.source.data", "must be base64 text without a data: prefix")
    return f"data:{kind};base64,{data}"


def _image(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    kind, source = _source(block, where, ("base64", "url"))
    url = _url(source, where) if kind == "url" else _inline(source, where, family="image/")
    return (Image(url, marks(block, "cache_control")),)


def _document(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    kind, source = _source(block, where, ("base64", "url", "text", "content", "file"))
    title = fields.text(block, "title", where=f"{where}.title")
    match kind:
        case "text":
            inside: tuple[Part, ...] = (Text(_string(source, "data", f"{where}.source")),)
        case "content":
            inside = _blocks(source.get("content"), f"{where}.source.content", INSIDE_DOCUMENTS)
        case _:
            extra = marks(block, "cache_control", "citations", "context")
            return (
                File(
                    filename=title,
                    data=_inline(source, where, family="application/") if kind == "base64" else None,
                    url=_url(source, where) if kind == "url" else None,
                    file_id=_string(source, "file_id", f"{where}.source") if kind == "file" else None,
                    extra=extra,
                ),
            )
    context = fields.text(block, "context", most=100_000, where=f"{where}.context")
    head = "\n".join(line for line in (title, context) if line)
    return _marked((Text(head), *inside) if head else inside, marks(block, "cache_control"))


def _search_result(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    head = "\n".join((_string(block, "title", where), _string(block, "source", where)))
    inside = _blocks(block.get("content"), f"{where}.content", ONLY_TEXT)
    return _marked((Text(head), *inside), marks(block, "cache_control"))


def _marked(parts: tuple[Part, ...], extra: Mapping[str, Json]) -> tuple[Part, ...]:
    """The parts with the block's marks on the last of them, where a text can carry them."""
    if extra and parts and isinstance(parts[-1], Text):
        return (*parts[:-1], Text(parts[-1].text, {**parts[-1].extra, **extra}))
    return parts


def _tool_use(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    given = block.get("input")
    if given is not None and not isinstance(given, dict):
        raise fields.wrong(f"{where}.input", "must be an object")
    arguments = orjson.dumps(given or {}).decode()
    call_id, name = _string(block, "id", where), _string(block, "name", where)
    return (ToolCall(call_id, name, arguments, marks(block, "cache_control")),)


def _tool_result(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    call_id = _string(block, "tool_use_id", where)
    given = block.get("content")
    inside = _blocks(given, f"{where}.content", INSIDE_RESULTS) if given is not None else ()
    parts = tuple(part for part in inside if isinstance(part, Content))
    failed = fields.flag(block, "is_error", where=f"{where}.is_error") or False
    return (ToolResult(call_id, parts, failed, marks(block, "cache_control")),)


def _tool_reference(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    return (Text(_string(block, "tool_name", where)),)


def _thinking(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    text = _string(block, "thinking", where)
    detail = {"type": "reasoning.text", "text": text, "format": FORMAT}
    if signature := fields.text(block, "signature", most=2**24, where=f"{where}.signature"):
        detail["signature"] = signature
    return (Reasoning(text, (detail,)),)


def _redacted(block: Mapping[str, Json], where: str) -> tuple[Part, ...]:
    return (Reasoning("", ({"type": "reasoning.encrypted", "data": _string(block, "data", where), "format": FORMAT},)),)


ONLY_TEXT: Final[Mapping[str, Read]] = {"text": _text}
INSIDE_DOCUMENTS: Final[Mapping[str, Read]] = {"text": _text, "image": _image}
INSIDE_RESULTS: Final[Mapping[str, Read]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}
READERS: Final[Mapping[str, Mapping[str, Read]]] = {
    "system": ONLY_TEXT,
    "user": {
        "text": _text,
        "image": _image,
        "document": _document,
        "search_result": _search_result,
        "tool_result": _tool_result,
    },
    "assistant": {"text": _text, "tool_use": _tool_use, "thinking": _thinking, "redacted_thinking": _redacted},
}
