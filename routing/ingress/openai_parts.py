"""Messages and their content parts, read from the OpenAI chat dialect and its common extensions."""

from collections.abc import Callable, Mapping
from typing import Final

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
    Video,
)
from routing.ingress import fields, sound

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
Content = Text | Image | Audio | Video | File


def read_message(message: Json, where: str) -> Message:
    """One message; `where` is its place in the body, for the error. Raises InvalidRequest."""
    if not isinstance(message, dict):
        raise fields.wrong(where, "must be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise fields.wrong(f"{where}.role", f"must be one of {', '.join(sorted(ROLES))}")
    content = _content(message.get("content"), f"{where}.content")
    if role == "tool":
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str) or not call_id:
            raise fields.wrong(f"{where}.tool_call_id", "must name the call that this answers")
        return Message(role, (ToolResult(call_id, tuple(p for p in content if isinstance(p, Content))),))
    parts: tuple[Part, ...] = content
    if role == "assistant":
        parts = (*_reasoning(message), *content, *_refusal(message), *_tool_calls(message, f"{where}.tool_calls"))
    if not parts and message.get("content") is None:
        raise fields.wrong(f"{where}.content", "must be a string or an array of parts")
    return Message(role, parts, fields.text(message, "name", most=256, where=f"{where}.name"))


def _content(content: Json, where: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise fields.wrong(where, "must be a string or an array of parts")
    return tuple(_part(part, f"{where}[{i}]") for i, part in enumerate(content))


def _part(part: Json, where: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    read = READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise fields.wrong(f"{where}.type", f"must be one of {', '.join(sorted(READERS))}")
    return read(part, where)


def _rest(part: Mapping[str, Json], *known: str) -> dict[str, Json]:
    return {name: value for name, value in part.items() if name not in known and name != "type"}


def _text(part: Mapping[str, Json], where: str) -> Part:
    text = part.get("text")
    if not isinstance(text, str):
        raise fields.wrong(f"{where}.text", "must be a string")
    return Text(text, _rest(part, "text"))


def _refused(part: Mapping[str, Json], where: str) -> Part:
    text = part.get("refusal")
    if not isinstance(text, str):
        raise fields.wrong(f"{where}.refusal", "must be a string")
    return Refusal(text)


def _url_of(part: Mapping[str, Json], name: str, where: str) -> tuple[str, dict[str, Json]]:
    """The URL under `name`, a string or {url, …options}, and those options."""
    value = part.get(name)
    options: dict[str, Json] = {}
    if isinstance(value, dict):
        options = {key: option for key, option in value.items() if key != "url"}
        value = value.get("url")
    if not isinstance(value, str) or not value.startswith(("https://", "http://", "data:")):
        raise fields.wrong(f"{where}.{name}.url", "must be an http(s) or data URL")
    return value, options | _rest(part, name)


def _image(part: Mapping[str, Json], where: str) -> Part:
    return Image(*_url_of(part, "image_url", where))


def _video(part: Mapping[str, Json], where: str) -> Part:
    url, extra = _url_of(part, "video_url", where)
    return Video(url=url, extra=extra)


def _frames(part: Mapping[str, Json], where: str) -> Part:
    frames = fields.texts(part, "video", most=1_000, where=f"{where}.video")
    return Video(frames=frames, extra=_rest(part, "video"))


def _audio(part: Mapping[str, Json], where: str) -> Part:
    value = part.get("input_audio")
    if not isinstance(value, dict) or not isinstance(value.get("data"), str):
        raise fields.wrong(f"{where}.input_audio.data", "must be base64 text")
    form = fields.text(value, "format", where=f"{where}.input_audio.format")
    return _heard(value["data"], form, _rest(part, "input_audio"), f"{where}.input_audio.data")


def _audio_url(part: Mapping[str, Json], where: str) -> Part:
    url, extra = _url_of(part, "audio_url", where)
    return _heard(url, None, extra, f"{where}.audio_url.url")


def _heard(value: str, form: str | None, extra: dict[str, Json], where: str) -> Audio:
    """Sound from base64, an address or a data URL: callers write each of them in either field."""
    if value.startswith(("https://", "http://")):
        return Audio(format=form, url=value, extra=extra)
    if not value.startswith("data:"):
        return Audio(data=value, format=form, extra=extra)
    head, comma, data = value.partition(",")
    if not comma or not head.endswith(";base64"):
        raise fields.wrong(where, "is a data URL that is not data:audio/…;base64,…")
    return Audio(data=data, format=form or sound.format_of(head.removeprefix("data:")) or None, extra=extra)


def _file(part: Mapping[str, Json], where: str) -> Part:
    value = part.get("file")
    if not isinstance(value, dict):
        raise fields.wrong(f"{where}.file", "must be an object")
    data = fields.text(value, "file_data", most=2**31, where=f"{where}.file.file_data")
    file_id = fields.text(value, "file_id", where=f"{where}.file.file_id")
    if data is None and file_id is None:
        raise fields.wrong(f"{where}.file", "must have file_data or file_id")
    is_url = data is not None and data.startswith(("https://", "http://"))
    return File(
        filename=fields.text(value, "filename", where=f"{where}.file.filename"),
        data=None if is_url else data,
        url=data if is_url else None,
        file_id=file_id,
        extra=_rest(part, "file"),
    )


READERS: Final[Mapping[str, Callable[[Mapping[str, Json], str], Part]]] = {
    "text": _text,
    "refusal": _refused,
    "image_url": _image,
    "video_url": _video,
    "video": _frames,
    "input_audio": _audio,
    "audio_url": _audio_url,
    "file": _file,
}


def _reasoning(message: Mapping[str, Json]) -> tuple[Reasoning, ...]:
    text = message.get("reasoning", message.get("reasoning_content"))
    details = message.get("reasoning_details")
    kept = tuple(detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else ()
    if not isinstance(text, str):
        text = ""
    return (Reasoning(text, kept),) if text or kept else ()


def _refusal(message: Mapping[str, Json]) -> tuple[Refusal, ...]:
    text = message.get("refusal")
    return (Refusal(text),) if isinstance(text, str) and text else ()


def _tool_calls(message: Mapping[str, Json], where: str) -> tuple[ToolCall, ...]:
    calls = message.get("tool_calls")
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise fields.wrong(where, "must be an array")
    return tuple(_tool_call(call, f"{where}[{i}]") for i, call in enumerate(calls))


def _tool_call(call: Json, where: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(call.get("id"), str):
        raise fields.wrong(where, 'must be {"id": …, "type": "function", "function": {"name": …, "arguments": …}}')
    name, arguments = function.get("name"), function.get("arguments", "")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise fields.wrong(f"{where}.function", "must have a name and arguments as JSON text")
    return ToolCall(call["id"], name, arguments, _rest(call, "id", "function", "index"))
