"""Input items of the Responses dialect, read into canonical messages.

What one turn of the model gave comes as several items (thoughts, words, calls); here they are one message again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

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
from routing.ingress import fields
from routing.ingress.openai_parts import READERS as CHAT_READERS

ROLES: Final = ("user", "assistant", "system", "developer")
MAX_ITEMS: Final = 10_000
MARKS: Final = ("cache_control", "prompt_cache_breakpoint")
OUR_REASONING_ID: Final = "rs_gen"  # begins the ids that our answers give to thoughts that came without one
Content = Text | Image | Audio | Video | File


def read_input(given: Json, *, instructions: str | None) -> tuple[Message, ...]:
    """The conversation: a string, or an array of items. Raises InvalidRequest."""
    if isinstance(given, str) and given:
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise fields.wrong("input", "must be a non-empty string or array of items")
    if len(given) > MAX_ITEMS:
        raise fields.wrong("input", f"has more than {MAX_ITEMS} items")
    conversation = _Conversation()
    if instructions:
        conversation.messages.append(Message("system", (Text(instructions),)))
    for place, item in enumerate(given):
        conversation.take(item, f"input[{place}]")
    return conversation.end()


@dataclass(slots=True)
class _Conversation:
    messages: list[Message] = field(default_factory=list)
    turn: list[Part] = field(default_factory=list)  # what the model gave since somebody else spoke

    def take(self, item: Json, where: str) -> None:
        if not isinstance(item, dict):
            raise fields.wrong(where, "must be an object")
        match item.get("type", "message"):
            case "message":
                self._message(item, where)
            case "reasoning":
                self.turn += _reasoning(item)
            case "function_call":
                self.turn.append(_call(item, where))
            case "function_call_output":
                self._say("tool", (_result(item, where),))
            case "image_generation_call":
                pass  # a picture that the model made: most makers take pictures from the user only
            case "item_reference":
                raise fields.wrong(f"{where}.type", "cannot be item_reference: items are not stored; send the item")
            case _:
                known = "message, reasoning, function_call, function_call_output, image_generation_call"
                raise fields.wrong(f"{where}.type", f"must be one of {known}")

    def end(self) -> tuple[Message, ...]:
        self._end_turn()
        return tuple(self.messages)

    def _message(self, item: Mapping[str, Json], where: str) -> None:
        role = item.get("role")
        if role not in ROLES:
            raise fields.wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
        parts = read_content(item.get("content"), f"{where}.content")
        if role == "assistant":
            self.turn += parts
        else:
            self._say(str(role), parts)

    def _say(self, role: str, parts: tuple[Part, ...]) -> None:
        self._end_turn()
        self.messages.append(Message(role, parts))

    def _end_turn(self) -> None:
        if self.turn:
            self.messages.append(Message("assistant", tuple(self.turn)))
            self.turn.clear()


def read_content(content: Json, where: str) -> tuple[Part, ...]:
    """A message's content, a string or an array of parts."""
    if isinstance(content, str):
        return (Text(content),)
    if content is None:
        return ()
    if not isinstance(content, list):
        raise fields.wrong(where, "must be a string or an array of parts")
    return tuple(_part(part, f"{where}[{place}]") for place, part in enumerate(content))


def _part(part: Json, where: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    read = PARTS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise fields.wrong(f"{where}.type", f"must be one of {', '.join(sorted(PARTS))}")
    return read(part, where)


def _marks(part: Mapping[str, Json]) -> dict[str, Json]:
    return {name: part[name] for name in MARKS if part.get(name) is not None}


def _text(part: Mapping[str, Json], where: str) -> Part:
    text = part.get("text")
    if not isinstance(text, str):
        raise fields.wrong(f"{where}.text", "must be a string")
    return Text(text, _marks(part))


def _image(part: Mapping[str, Json], where: str) -> Part:
    url = part.get("image_url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:")):
        raise fields.wrong(f"{where}.image_url", "must be an http(s) or data URL")
    detail = {"detail": part["detail"]} if part.get("detail") is not None else {}
    return Image(url, detail | _marks(part))


def _file(part: Mapping[str, Json], where: str) -> Part:
    found = File(
        filename=fields.text(part, "filename", where=f"{where}.filename"),
        data=fields.text(part, "file_data", most=2**31, where=f"{where}.file_data"),
        url=fields.text(part, "file_url", most=10_000, where=f"{where}.file_url"),
        file_id=fields.text(part, "file_id", where=f"{where}.file_id"),
        extra=_marks(part),
    )
    if found.data is None and found.url is None and found.file_id is None:
        raise fields.wrong(where, "must have file_data, file_url or file_id")
    if found.url is not None and not found.url.startswith(("https://", "http://")):
        raise fields.wrong(f"{where}.file_url", "must be an http(s) URL")
    return found


def _video(part: Mapping[str, Json], where: str) -> Part:
    return CHAT_READERS["video_url"](part, where)


def _audio(part: Mapping[str, Json], where: str) -> Part:
    return CHAT_READERS["input_audio"](part, where)


def _refusal(part: Mapping[str, Json], where: str) -> Part:
    return CHAT_READERS["refusal"](part, where)


PARTS: Final[Mapping[str, Callable[[Mapping[str, Json], str], Part]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
    "input_video": _video,
}


def _call(item: Mapping[str, Json], where: str) -> ToolCall:
    call_id, name, arguments = item.get("call_id"), item.get("name"), item.get("arguments", "")
    if not isinstance(call_id, str) or not call_id:
        raise fields.wrong(f"{where}.call_id", "must be the call's id")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise fields.wrong(where, "must have a name and arguments as JSON text")
    return ToolCall(call_id, name, arguments)


def _result(item: Mapping[str, Json], where: str) -> ToolResult:
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or not call_id:
        raise fields.wrong(f"{where}.call_id", "must name the call that this answers")
    parts = read_content(item.get("output"), f"{where}.output")
    return ToolResult(call_id, tuple(part for part in parts if isinstance(part, Content)), extra=_marks(item))


def _reasoning(item: Mapping[str, Json]) -> tuple[Part, ...]:
    """An item of thoughts as the details that an answer made it of: in order, and not a word changed."""
    given = item.get("id")
    common: dict[str, Json] = {"format": item["format"]} if isinstance(item.get("format"), str) else {}
    if isinstance(given, str) and not given.startswith(OUR_REASONING_ID):
        common["id"] = given
    details: list[Mapping[str, Json]] = []
    details += ({"type": "reasoning.summary", "summary": text} | common for text in _texts(item.get("summary")))
    details += ({"type": "reasoning.text", "text": text} | common for text in _texts(item.get("content")))
    signature, data = item.get("signature"), item.get("encrypted_content")
    if isinstance(signature, str) and signature:
        if not details or details[-1]["type"] != "reasoning.text":
            details.append({"type": "reasoning.text", "text": ""} | common)
        details[-1] = {**details[-1], "signature": signature}
    if isinstance(data, str) and data:
        details.append({"type": "reasoning.encrypted", "data": data} | {"format": "openai-responses-v1"} | common)
    words = "".join(_texts(item.get("content")))
    return (Reasoning(words, tuple(details)),) if details else ()


def _texts(parts: Json) -> list[str]:
    found = parts if isinstance(parts, list) else []
    return [part["text"] for part in found if isinstance(part, dict) and isinstance(part.get("text"), str)]
