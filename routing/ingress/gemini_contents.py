"""Turns of Google's dialect, read into canonical messages, and the signatures that thoughts come back with.

Calls may come without ids: then they are told apart, like their answers, by name and order.
"""

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from routing.canonical import (
    Audio,
    File,
    Image,
    Json,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from routing.ingress import fields, sound

ROLES: Final = ("user", "model", "function")
MAX_CONTENTS: Final = 10_000
FORMAT: Final = "google-gemini-v1"
MADE_UP: Final = "gem_"  # begins the ids of calls that have none: Google's own servers get none from us either
STANDARD: Final = str.maketrans("-_", "+/")  # either alphabet of base64 may come
_SNAKE: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")
Content = Text | Image | Audio | Video | File


def camel(data: Mapping[str, Json]) -> dict[str, Json]:
    """The object with its own names in camel case; what is inside stays as it is."""
    return {_SNAKE.sub(lambda match: match[1].upper(), name): value for name, value in data.items()}


def read_instruction(given: Json, where: str) -> tuple[Message, ...]:
    """The instruction: text, a part, or a content with parts. Raises InvalidRequest."""
    if given is None:
        return ()
    parts = _parts_of(given, where)
    words = tuple(Text(part["text"]) for part in parts if isinstance(part.get("text"), str) and part["text"])
    return (Message("system", words),) if words else ()


def read_contents(given: Json) -> tuple[Message, ...]:
    """The conversation: an array of contents, or what stands for one. Raises InvalidRequest."""
    if isinstance(given, str | dict):
        given = [given]
    if not isinstance(given, list) or not given:
        raise fields.wrong("contents", "must be a non-empty array")
    if len(given) > MAX_CONTENTS:
        raise fields.wrong("contents", f"has more than {MAX_CONTENTS} entries")
    conversation = _Conversation()
    for place, content in enumerate(given):
        conversation.take(content, f"contents[{place}]")
    return tuple(conversation.messages)


def _parts_of(content: Json, where: str) -> list[dict[str, Json]]:
    """The parts of a content in any of the forms that the dialect takes."""
    if isinstance(content, str):
        return [{"text": content}]
    if not isinstance(content, dict):
        raise fields.wrong(where, "must be an object with parts")
    parts = content.get("parts", [content] if "text" in content else None)
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise fields.wrong(f"{where}.parts", "must be an array of objects")
    return [camel(part) for part in parts]


@dataclass(slots=True)
class _Conversation:
    messages: list[Message] = field(default_factory=list)
    open_calls: list[tuple[str, str]] = field(default_factory=list)  # (name, id), not answered yet
    count: int = 0

    def take(self, content: Json, where: str) -> None:
        parts = _parts_of(content, where)
        role = content.get("role") if isinstance(content, dict) else None
        if role not in (None, *ROLES):
            raise fields.wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
        if not parts:
            raise fields.wrong(f"{where}.parts", "must not be empty")
        if role == "model":
            self.messages.append(Message("assistant", self._turn(parts, where)))
            return
        words: list[Part] = []
        for place, part in enumerate(parts):
            here = f"{where}.parts[{place}]"
            if part.get("functionResponse") is not None:
                self.messages.append(Message("tool", (self._result(part["functionResponse"], here),)))
            else:
                words.append(read_part(part, here))
        if words:
            self.messages.append(Message("user", tuple(words)))

    def _turn(self, parts: Sequence[dict[str, Json]], where: str) -> tuple[Part, ...]:
        """What the model said: each signature becomes a detail ahead of the part that it was on."""
        found: list[Part] = []
        for place, part in enumerate(parts):
            here = f"{where}.parts[{place}]"
            signature = fields.text(part, "thoughtSignature", most=2**24, where=f"{here}.thoughtSignature")
            if part.get("thought") is True:
                found += _thought(part, signature)
                continue
            if part.get("functionCall") is not None:
                call = self._call(part["functionCall"], here)
                found += _signed(signature, call_id=call.id)
                found.append(call)
                continue
            found += _signed(signature)
            if part.get("text") != "":
                found.append(read_part(part, here))
        return tuple(found)

    def _call(self, given: Json, where: str) -> ToolCall:
        call = camel(given) if isinstance(given, dict) else {}
        name, arguments = call.get("name"), call.get("args")
        if not isinstance(name, str) or not name:
            raise fields.wrong(f"{where}.functionCall.name", "must be a name")
        if arguments is not None and not isinstance(arguments, dict):
            raise fields.wrong(f"{where}.functionCall.args", "must be an object")
        self.count += 1
        call_id = fields.text(call, "id", where=f"{where}.functionCall.id") or f"{MADE_UP}{self.count}"
        self.open_calls.append((name, call_id))
        return ToolCall(call_id, name, orjson.dumps(arguments or {}).decode())

    def _result(self, given: Json, where: str) -> ToolResult:
        result = camel(given) if isinstance(given, dict) else {}
        name = result.get("name")
        call_id = fields.text(result, "id", where=f"{where}.functionResponse.id")
        if not call_id:
            call_id = next((open_id for open_name, open_id in self.open_calls if open_name == name), None)
        if not call_id:
            raise fields.wrong(f"{where}.functionResponse", f"answers no functionCall named {name!r} before it")
        self.open_calls = [one for one in self.open_calls if one[1] != call_id]
        response = result.get("response")
        if response is not None and not isinstance(response, dict):
            raise fields.wrong(f"{where}.functionResponse.response", "must be an object")
        media = [
            read_part(camel(part), f"{where}.functionResponse.parts[{place}]")
            for place, part in enumerate(result.get("parts") or [])
            if isinstance(part, dict)
        ]
        parts = (Text(_words(response or {})), *(part for part in media if isinstance(part, Content)))
        return ToolResult(call_id, parts, is_error=bool(response) and set(response or {}) == {"error"})


def _words(response: Mapping[str, Json]) -> str:
    """A function's response as text: what it put under `result` or `output` when that is words, else the JSON."""
    if len(response) == 1:
        (name, value), *_ = response.items()
        if name in ("result", "output", "error") and isinstance(value, str):
            return value
    return orjson.dumps(response).decode()


def _thought(part: Mapping[str, Json], signature: str | None) -> list[Part]:
    text = part["text"] if isinstance(part.get("text"), str) else ""
    if signature and (detail := open_signature(signature)) is not None:
        return [Reasoning(text, (detail,))]
    details: list[Mapping[str, Json]] = []
    if text:
        details.append({"type": "reasoning.text", "text": text, "format": FORMAT})
    if signature:
        details.append({"type": "reasoning.encrypted", "data": signature.translate(STANDARD), "format": FORMAT})
    return [Reasoning(text, tuple(details))] if details else []


def _signed(signature: str | None, *, call_id: str | None = None) -> list[Part]:
    if not signature:
        return []
    detail: Mapping[str, Json] | None = open_signature(signature)
    if detail is None:
        detail = {"type": "reasoning.encrypted", "data": signature.translate(STANDARD), "format": FORMAT}
        if call_id is not None:
            detail = {**detail, "id": call_id}
    return [Reasoning("", (detail,))]


def seal(detail: Mapping[str, Json]) -> str:
    """Another maker's detail as a signature, the one thing that callers of this dialect send back untouched."""
    return base64.b64encode(orjson.dumps(dict(detail))).decode()


def open_signature(signature: str) -> Mapping[str, Json] | None:
    """The detail that `seal` made a signature of; None for Google's own."""
    try:
        data = orjson.loads(base64.b64decode(signature.translate(STANDARD), validate=True))
    except (binascii.Error, ValueError):
        return None
    kind = data.get("type") if isinstance(data, dict) else None
    return data if isinstance(kind, str) and kind.startswith("reasoning.") else None


def read_part(part: Mapping[str, Json], where: str) -> Part:
    """Text or a medium. Raises InvalidRequest."""
    if isinstance(part.get("text"), str):
        return Text(part["text"])
    options = {"video_metadata": part["videoMetadata"]} if isinstance(part.get("videoMetadata"), dict) else {}
    if isinstance(part.get("inlineData"), dict):
        return _inline(camel(part["inlineData"]), options, f"{where}.inlineData")
    if isinstance(part.get("fileData"), dict):
        return _stored(camel(part["fileData"]), options, f"{where}.fileData")
    raise fields.wrong(where, "must have text, inlineData, fileData, functionCall or functionResponse")


def _inline(blob: Mapping[str, Json], options: dict[str, Json], where: str) -> Part:
    kind, data = blob.get("mimeType"), blob.get("data")
    if not isinstance(kind, str) or "/" not in kind:
        raise fields.wrong(f"{where}.mimeType", "must be a media type")
    if not isinstance(data, str) or not data:
        raise fields.wrong(f"{where}.data", "must be base64 text")
    data = data.translate(STANDARD)
    url = f"data:{kind};base64,{data}"
    match kind.partition("/")[0]:
        case "image":
            return Image(url)
        case "audio":
            return Audio(data=data, format=sound.format_of(kind))
        case "video":
            return Video(url=url, extra=options)
    return File(filename=fields.text(blob, "displayName", where=f"{where}.displayName"), data=url)


def _stored(found: Mapping[str, Json], options: dict[str, Json], where: str) -> Part:
    url, kind = found.get("fileUri"), found.get("mimeType")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise fields.wrong(f"{where}.fileUri", "must be an http(s) URL: other stores cannot be reached from here")
    if not isinstance(kind, str) or "/" not in kind:
        kind = mimetypes.guess_type(url)[0] or ("video/mp4" if "youtu" in url else "application/octet-stream")
    match kind.partition("/")[0]:
        case "image":
            return Image(url)
        case "audio":
            return Audio(url=url)
        case "video":
            return Video(url=url, extra=options)
    return File(filename=fields.text(found, "displayName", where=f"{where}.displayName"), url=url)
