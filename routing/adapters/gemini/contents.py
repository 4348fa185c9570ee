"""Canonical messages written as Gemini's contents: turns of `user` and `model`, made of parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from routing.adapters import media
from routing.adapters.gemini.models import Abilities
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

FORMAT: Final = "google-gemini-v1"  # of reasoning_details that are Gemini's own
OUR_ID: Final = "gem_"  # begins the ids that we made up for calls that had none
# What the provider documents for calls that it did not make itself, such as those of another maker's model.
NO_SIGNATURE: Final = "skip_thought_signature_validator"
SYSTEM_ROLES: Final = frozenset({"system", "developer"})

Content = dict[str, Json]


def write_contents(messages: Sequence[Message], able: Abilities) -> tuple[list[Content], list[Content]]:
    """(parts of the instruction, contents). Every system message becomes part of the instruction.

    Raises UpstreamError(kind invalid) for a part that the dialect cannot carry.
    """
    writer = _Writer(able)
    for message in messages:
        writer.take(message)
    if not writer.contents:  # nothing but instructions: they are what the user says
        return [], [{"role": "user", "parts": writer.system or [{"text": " "}]}]
    return writer.system, writer.contents


@dataclass(slots=True)
class _Writer:
    able: Abilities
    system: list[Content] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    calls: dict[str, tuple[int, str]] = field(default_factory=dict)  # id -> (place among all calls, name)
    answered: list[int] = field(default_factory=list)  # places of the calls that the last turn answers

    def take(self, message: Message) -> None:
        if message.role in SYSTEM_ROLES:
            self.system += [{"text": part.text} for part in message.parts if isinstance(part, Text) and part.text]
        elif message.role == "assistant":
            self._say("model", self._model_parts(message.parts))
        elif any(isinstance(part, ToolResult) for part in message.parts):
            for part in message.parts:
                if isinstance(part, ToolResult):
                    self._answer(part)
            self._say("user", _parts(part for part in message.parts if not isinstance(part, ToolResult)))
        else:
            self._say("user", _parts(message.parts))

    def _say(self, role: str, parts: list[Content]) -> None:
        """Add to the turn of that role, or begin one. Results of tools keep a turn to themselves."""
        if not parts:
            return
        last = self.contents[-1] if self.contents else None
        if last is not None and last["role"] == role and not _is_answers(last):
            last["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _model_parts(self, parts: Sequence[Part]) -> list[Content]:
        signatures, loose = _signatures(parts)
        speaks = any(isinstance(part, Text | Refusal) and part.text for part in parts)
        written: list[Content] = []
        begun = False  # of several calls in one answer only the first is signed
        for part in parts:
            if isinstance(part, ToolCall):
                self.calls[part.id] = (len(self.calls), part.name)
                call: Content = {"name": part.name, "args": _object(part.arguments)}
                if not part.id.startswith(OUR_ID):
                    call["id"] = part.id
                signature = signatures.get(part.id) or _signature_beside(part)
                if signature is None and not begun and self.able.needs_signatures:
                    signature = (None if speaks else loose) or NO_SIGNATURE
                begun = True
                written.append({"functionCall": call} | ({"thoughtSignature": signature} if signature else {}))
            elif not isinstance(part, Reasoning):
                written += _parts([part])
        if loose and (speaks or not begun):
            words = [part for part in written if "text" in part]
            if not words:
                words = [{"text": ""}]
                written += words
            words[-1]["thoughtSignature"] = loose
        return written

    def _answer(self, result: ToolResult) -> None:
        """A functionResponse, in the order of the calls: without ids that is all that tells them apart."""
        place, name = self.calls.get(result.call_id, (len(self.calls), result.call_id))
        words = "".join(part.text for part in result.parts if isinstance(part, Text | Refusal))
        rest = _parts(part for part in result.parts if not isinstance(part, Text | Refusal))
        response: Content = {"name": name, "response": _result(words)}
        if not result.call_id.startswith(OUR_ID):
            response["id"] = result.call_id
        if rest and self.able.media_in_results and all("inlineData" in part for part in rest):
            response["parts"], rest = rest, []
        if not self.contents or not _is_answers(self.contents[-1]):
            self.contents.append({"role": "user", "parts": []})
            self.answered = []
        parts = self.contents[-1]["parts"]
        at = sum(earlier <= place for earlier in self.answered)
        self.answered.insert(at, place)
        parts.insert(at, {"functionResponse": response})
        parts += rest


def _is_answers(content: Content) -> bool:
    return not content["parts"] or "functionResponse" in content["parts"][0]


def _signatures(parts: Iterable[Part]) -> tuple[dict[str, str], str | None]:
    """(signature by the id of its call, the signature of the words), out of the details that came back."""
    by_call: dict[str, str] = {}
    loose: str | None = None
    for part in parts:
        for detail in part.details if isinstance(part, Reasoning) else ():
            data = detail.get("data") if detail.get("type") == "reasoning.encrypted" else detail.get("signature")
            if detail.get("format") != FORMAT or not isinstance(data, str) or not data:
                continue
            if isinstance(detail.get("id"), str):
                by_call[detail["id"]] = data
            else:
                loose = data
    return by_call, loose


def _signature_beside(call: ToolCall) -> str | None:
    """The signature where Google's own OpenAI dialect keeps it: on the call."""
    beside = call.extra.get("extra_content")
    google = beside.get("google") if isinstance(beside, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) and found else None


def _object(arguments: str) -> Json:
    if not arguments.strip():
        return {}
    try:
        found = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}


def _result(words: str) -> Json:
    try:
        found = orjson.loads(words)
    except orjson.JSONDecodeError:
        return {"output": words}
    return found if isinstance(found, dict) else {"output": found}


def _parts(parts: Iterable[Part]) -> list[Content]:
    return [written for part in parts for written in _part(part)]


def _part(part: Part) -> list[Content]:
    match part:
        case Text(text) | Refusal(text):
            return [{"text": text}] if text else []
        case Image(url):
            return [_media(url, fallback="image/jpeg")]
        case Audio(data, form, url):
            if url is not None:
                return [_media(url, fallback="audio/mp3")]
            return [{"inlineData": {"mimeType": f"audio/{form or 'wav'}", "data": data or ""}}]
        case Video(None, frames, _):
            return [_media(frame, fallback="image/jpeg") for frame in frames]
        case Video(url, _, extra):
            return [_media(url or "", fallback="video/mp4") | _video_options(extra)]
        case File():
            return [_file(part)]
    raise media.unfit(f"This provider takes no {type(part).__name__.lower()} there.")


def _media(url: str, *, fallback: str) -> Content:
    if media.is_data_url(url):
        inline = media.read_data_url(url, fallback=fallback)
        return {"inlineData": {"mimeType": inline.media_type, "data": inline.data}}
    if not url.startswith("https://"):
        raise media.unfit("This provider fetches media by https only; send the data itself.")
    return {"fileData": {"mimeType": media.type_of(url, fallback=fallback), "fileUri": url}}


def _file(part: File) -> Content:
    fallback = media.type_of(part.filename or "", fallback="application/pdf")
    if part.url is not None:
        return _media(part.url, fallback=fallback)
    if part.data is None:  # an id of a file at the provider: it would be looked up among the operator's own
        raise media.unfit("Files by id cannot be sent to this provider; send the file's data or its address.")
    if media.is_data_url(part.data):
        return _media(part.data, fallback=fallback)
    return {"inlineData": {"mimeType": fallback, "data": part.data}}


def _video_options(extra: Mapping[str, Json]) -> Content:
    names = {"start_offset": "startOffset", "end_offset": "endOffset", "fps": "fps"}
    given = extra.get("video_metadata")
    options = given if isinstance(given, dict) else extra
    found = {
        ours: options[name] for name, ours in names.items() for name in (name, ours) if options.get(name) is not None
    }
    return {"videoMetadata": found} if found else {}
