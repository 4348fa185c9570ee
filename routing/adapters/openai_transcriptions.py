"""Transcription as OpenAI and its alikes have it: POST /audio/transcriptions, a form with a file.

Subtitles are written by ingress from the times of verbose_json, so a provider needs only that.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Final

from routing.adapters import forms
from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, malformed, objects, read_object, text
from routing.adapters.exchanges import Refusals, bearer
from routing.canonical import Json, Usage
from routing.operations.transcription import Segment, Transcript, TranscriptionRequest

SEGMENT_FIELDS: Final = frozenset({"start", "end", "text"})
MOST_SECONDS: Final = 10_000_000


class OpenAITranscriptions(Refusals):
    """One row of differences: whether the form of the answer and a prompt are known."""

    def __init__(self, *, takes_form: bool = True, takes_prompt: bool = True) -> None:
        self._takes_form = takes_form
        self._takes_prompt = takes_prompt

    def build(self, request: TranscriptionRequest, *, target: Target) -> HttpRequest:
        """The sound as a file, the rest as fields."""
        fields = [("model", target.upstream)]
        if self._takes_form:
            fields.append(("response_format", "verbose_json" if request.is_timed else "json"))
        if request.language:
            fields.append(("language", request.language))
        if request.prompt and self._takes_prompt:
            fields.append(("prompt", request.prompt))
        if request.temperature is not None:
            fields.append(("temperature", f"{request.temperature:g}"))
        if request.is_timed:
            fields += [("timestamp_granularities[]", one) for one in request.granularities or ("segment",)]
        kind, body = forms.write(fields, name=request.filename, file=request.audio, media_type=request.media_type)
        headers = (("content-type", kind), ("accept", "application/json"), *bearer(target))
        return HttpRequest(target.base_url.rstrip("/") + "/audio/transcriptions", headers, body)

    def parse_answer(self, body: bytes) -> Transcript:
        """`{"text", "language", "duration", "segments", "words", "usage"}`, of which only the text must be there."""
        data = read_object(body, "transcript")
        words = data.get("text")
        if not isinstance(words, str):
            raise malformed("The provider's transcript holds no text.")
        usage = inside(data, "usage")
        told = _seconds(data.get("duration"))
        return Transcript(
            text=words,
            language=text(data, "language") or None,
            seconds=told if told is not None else _seconds(usage.get("seconds")),
            segments=[_segment(row) for row in objects(data, "segments")],
            words=tuple(objects(data, "words")),
            usage=_usage(usage),
        )


def _usage(usage: Mapping[str, Json]) -> Usage | None:
    tokens_in, tokens_out = count(usage, "input_tokens"), count(usage, "output_tokens")
    if tokens_in is None:
        tokens_in, tokens_out = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    return None if tokens_in is None else Usage(tokens_in, tokens_out or 0)


def _segment(row: Mapping[str, Json]) -> Segment:
    start, end = _seconds(row.get("start")), _seconds(row.get("end"))
    if start is None or end is None:
        raise malformed("The provider's transcript has a segment without times.")
    extra = {name: value for name, value in row.items() if name not in SEGMENT_FIELDS}
    return Segment(start, end, text(row, "text"), extra)


def _seconds(value: Json) -> float | None:
    """A number of seconds, also as text, as OpenAI once wrote it; None where it makes no sense."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if isfinite(seconds) and 0 <= seconds <= MOST_SECONDS else None


TRANSCRIPTIONS: Final = OpenAITranscriptions()
# Mistral refuses fields that it does not know.
MISTRAL: Final = OpenAITranscriptions(takes_form=False, takes_prompt=False)
