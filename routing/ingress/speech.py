"""POST /audio/speech as callers write it."""

from typing import Final

from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.preferences import read_preferences
from routing.operations.speech import FORMATS, MAX_CHARACTERS, SpeechRequest

SLOWEST: Final = 0.25
FASTEST: Final = 4.0


def parse(body: bytes) -> SpeechRequest:
    """The request that the body asks for. Raises InvalidRequest naming the field."""
    data = read_object(body)
    text = fields.text(data, "input", most=MAX_CHARACTERS)
    if not text:
        raise fields.wrong("input", "must be a non-empty string")
    wanted = fields.text(data, "response_format") or "pcm"
    if wanted not in FORMATS:
        raise fields.wrong("response_format", f"must be one of {', '.join(FORMATS)}")
    if data.get("stream_format") not in (None, "audio"):
        raise fields.wrong("stream_format", 'must be "audio": the sound comes as its own bytes, piece by piece')
    if data.get("input_references"):
        raise fields.wrong("input_references", "cannot be honoured: no endpoint here clones voices")
    return SpeechRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        text=text,
        voice=fields.text(data, "voice", most=200),
        format=wanted,
        speed=fields.number(data, "speed", least=SLOWEST, most=FASTEST),
        instructions=fields.text(data, "instructions", most=MAX_CHARACTERS),
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )
