"""Canonical messages written as the items of a Responses input."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from routing.adapters import media
from routing.adapters.breakpoints import FIELD, breakpoint_of
from routing.canonical import File, Image, Json, Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult

FORMAT: Final = "openai-responses-v1"  # of reasoning_details that are this dialect's own
PLAIN: Final = frozenset({"input_text", "output_text"})

Item = dict[str, Json]


def write_items(message: Message) -> Iterator[Item]:
    """A turn as items: thoughts, words, calls and results stand side by side, in order."""
    words: list[Part] = []
    for part in message.parts:
        match part:
            case Reasoning(_, details):
                yield from _thoughts(details)
            case ToolCall(call_id, name, arguments):
                yield from _words(message.role, words)
                words = []
                yield {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
            case ToolResult(call_id, parts):
                yield {"type": "function_call_output", "call_id": call_id, "output": _content(parts, role="user")}
            case _:
                words.append(part)
    yield from _words(message.role, words)


def _words(role: str, parts: list[Part]) -> Iterator[Item]:
    if parts:
        yield {"role": "user" if role == "tool" else role, "content": _content(parts, role=role)}


def _content(parts: Iterable[Part], *, role: str) -> Json:
    written = [_part(part, role) for part in parts]
    if len(written) <= 1 and all(part["type"] in PLAIN and FIELD not in part for part in written):
        return written[0]["text"] if written else ""
    return written


def _part(part: Part, role: str) -> Item:
    match part:
        case Text(text):
            if role == "assistant":
                return {"type": "output_text", "text": text}
            return {"type": "input_text", "text": text, **breakpoint_of(part)}
        case Refusal(text):
            return {"type": "refusal", "refusal": text}
        case Image(url, extra):
            return {
                "type": "input_image",
                "image_url": url,
                "detail": extra.get("detail") or "auto",
                **breakpoint_of(part),
            }
        case File():
            return _file(part) | breakpoint_of(part)
    raise media.unfit(f"This provider takes no {type(part).__name__.lower()} input.")


def _file(part: File) -> Item:
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    if part.data is None:  # an id of a file at the provider: it would be looked up among the operator's own
        raise media.unfit("Files by id cannot be sent to this provider; send the file's data or its address.")
    kind = media.type_of(part.filename or "", fallback="application/pdf")
    data = part.data if media.is_data_url(part.data) else f"data:{kind};base64,{part.data}"
    return {"type": "input_file", "filename": part.filename or "file", "file_data": data}


def _thoughts(details: Iterable[Mapping[str, Json]]) -> Iterator[Item]:
    """Its own thoughts as they were, an item for each id; those without their encrypted part cannot be read back."""
    items: dict[Json, Item] = {}
    for detail in details:
        if detail.get("format") != FORMAT:
            continue
        place = detail.get("index")
        item = items.setdefault(place, {"type": "reasoning", "summary": []})
        if isinstance(detail.get("id"), str):
            item["id"] = detail["id"]
        if detail.get("type") == "reasoning.encrypted":
            item["encrypted_content"] = detail.get("data")
        elif isinstance(detail.get("summary"), str):
            if not item["summary"]:
                item["summary"].append({"type": "summary_text", "text": ""})
            item["summary"][0]["text"] += detail["summary"]
    yield from (item for item in items.values() if item.get("encrypted_content"))
