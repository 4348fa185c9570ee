"""POST /audio/transcriptions as callers write it, in JSON or as a form, and its answer in five forms."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from marketplace.lib.errors import PayloadTooLarge
from routing.canonical import Json
from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.openai_chat_answers import Bill, dollars
from routing.ingress.preferences import read_preferences
from routing.ingress.sound import seconds_of
from routing.operations.transcription import Segment, Transcript, TranscriptionRequest

MAX_AUDIO: Final = 25 * 1024 * 1024
MAX_PROMPT: Final = 10_000
FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES: Final = frozenset({"segment", "word"})
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mpga": "audio/mpeg",
    "mpeg": "audio/mpeg",
    "mp4": "audio/mp4",
    "m4a": "audio/mp4",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "webm": "audio/webm",
    "aac": "audio/aac",
}
SPOKEN: Final = f"must be one of {', '.join(MEDIA_TYPES)}"


def parse(body: bytes) -> TranscriptionRequest:
    """The request of a JSON body, sound in base64. Raises InvalidRequest naming the field, or PayloadTooLarge."""
    data = read_object(body)
    sound = data.get("input_audio")
    if not isinstance(sound, dict):
        raise fields.wrong("input_audio", 'must be {"data": base64, "format": "wav"}; or send a form with a file')
    kind = (fields.text(sound, "format", where="input_audio.format") or "").lower()
    if kind not in MEDIA_TYPES:
        raise fields.wrong("input_audio.format", SPOKEN)
    granularities = fields.texts(data, "timestamp_granularities", most=2)
    return _request(data, _decoded(sound.get("data")), f"audio.{kind}", granularities)


def parse_form(form: Mapping[str, Sequence[str]], *, name: str, audio: bytes | None) -> TranscriptionRequest:
    """The request of a form's fields and its file. Raises InvalidRequest naming the field, or PayloadTooLarge."""
    if not audio:
        raise fields.wrong("file", "is missing or empty: send the sound as a file of the form")
    kind = name.rpartition(".")[2].lower()
    if kind not in MEDIA_TYPES:
        raise fields.wrong("file", f"has a name whose ending tells no format of sound: it {SPOKEN}")
    data: dict[str, Json] = {field: values[-1] for field, values in form.items() if values}
    granularities = [*form.get("timestamp_granularities[]", ()), *form.get("timestamp_granularities", ())]
    if temperature := data.pop("temperature", None):
        data["temperature"] = _number(temperature)
    for field in ("provider", "models"):
        if field in data:
            data[field] = _json(data[field], field)
    return _request(data, audio, name, tuple(granularities))


def write(answer: Transcript, *, form: str, seconds: int, bill: Bill) -> tuple[bytes, str]:
    """(body, media type) of an answer in the form that was asked for."""
    if form == "text":
        return f"{answer.text}\n".encode(), "text/plain; charset=utf-8"
    if form == "srt":
        cues = [f"{place}\n{_cue(one, ',')}" for place, one in enumerate(answer.segments, 1)]
        return "\n".join(cues).encode(), "text/plain; charset=utf-8"
    if form == "vtt":
        return "\n".join(["WEBVTT\n", *(_cue(one, ".") for one in answer.segments)]).encode(), "text/vtt; charset=utf-8"
    data: dict[str, Json] = {"text": answer.text}
    if form == "verbose_json":
        data |= {
            "task": "transcribe",
            "language": answer.language,
            "duration": answer.seconds if answer.seconds is not None else seconds,
            "segments": [_segment(place, one) for place, one in enumerate(answer.segments)],
        }
        if answer.words:
            data["words"] = list(answer.words)
    return orjson.dumps(data | {"usage": _usage(seconds, bill)}), "application/json"


def _request(
    data: Mapping[str, Json], audio: bytes, filename: str, granularities: Sequence[str]
) -> TranscriptionRequest:
    if len(audio) > MAX_AUDIO:
        raise PayloadTooLarge(
            f"The sound is larger than {MAX_AUDIO:,} bytes: cut it, or encode it with fewer bits a second.",
            metadata={"limit_bytes": MAX_AUDIO},
        )
    fields.refuse_stream(data, "the words come whole, in one answer")
    form = fields.text(data, "response_format") or "json"
    if form not in FORMATS:
        raise fields.wrong("response_format", f"must be one of {', '.join(FORMATS)}")
    if not GRANULARITIES.issuperset(granularities):
        raise fields.wrong("timestamp_granularities", "may hold segment and word")
    return TranscriptionRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        audio=audio,
        filename=filename,
        media_type=MEDIA_TYPES[filename.rpartition(".")[2].lower()],
        seconds=seconds_of(audio),
        language=fields.text(data, "language", most=32),
        prompt=fields.text(data, "prompt", most=MAX_PROMPT),
        temperature=fields.number(data, "temperature", least=0, most=1),
        form=form,
        granularities=tuple(granularities),
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )


def _decoded(data: Json) -> bytes:
    if not isinstance(data, str) or not data:
        raise fields.wrong("input_audio.data", "must be base64")
    try:
        return base64.b64decode(data.rpartition(",")[2] if data.startswith("data:") else data, validate=True)
    except (ValueError, binascii.Error):
        raise fields.wrong("input_audio.data", "is not valid base64") from None


def _number(text: str) -> Json:
    try:
        return float(text)
    except ValueError:
        raise fields.wrong("temperature", "must be a number") from None


def _json(text: str, field: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise fields.wrong(field, "must be JSON in a form") from None


def _cue(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}\n{segment.text.strip()}\n"


def _clock(seconds: float, point: str) -> str:
    whole = round(max(0.0, seconds) * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"


def _segment(place: int, segment: Segment) -> dict[str, Json]:
    return {**segment.extra, "id": place, "start": segment.start, "end": segment.end, "text": segment.text}


def _usage(seconds: int, bill: Bill) -> dict[str, Json]:
    usage: dict[str, Json] = {"type": "duration", "seconds": seconds, "cost": dollars(bill.cost_nano)}
    tokens = bill.usage.prompt_tokens + bill.usage.completion_tokens
    if tokens:
        usage |= {
            "input_tokens": bill.usage.prompt_tokens,
            "output_tokens": bill.usage.completion_tokens,
            "total_tokens": tokens,
        }
    return usage
