"""Speech written down. Priced by the second of sound (`audio_second`), by the request, or by tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from routing.canonical import Json, Usage
from routing.operations.base import Asked, Used, short_of
from routing.selection.candidates import Need

# Where the sound does not say how long it is: the least that a codec for speech takes, and what is usual.
LEAST_BYTES_PER_SECOND: Final = 1_000
USUAL_BYTES_PER_SECOND: Final = 8_000
# Tokens that a second of sound may be, and be written down as, where an endpoint is priced by them.
TOKENS_IN_PER_SECOND: Final = 50
TOKENS_OUT_PER_SECOND: Final = 25
TIMED: Final = frozenset({"verbose_json", "srt", "vtt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionRequest(Asked):
    """Sound in a file; `seconds` is its length as it says itself, None where it cannot be told."""

    audio: bytes
    filename: str
    media_type: str
    seconds: float | None = None
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    form: str = "json"
    granularities: tuple[str, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether the caller wants to know when what was said."""
        return self.form in TIMED


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said from one second to another; `extra` is what else the provider tells of it."""

    start: float
    end: float
    text: str
    extra: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words; `seconds` and `usage` are None where the provider did not count."""

    text: str
    language: str | None = None
    seconds: float | None = None
    segments: Sequence[Segment] = ()
    words: Sequence[Mapping[str, Json]] = ()
    usage: Usage | None = None


class TranscriptionOperation:
    """Seconds are charged whole: the last one that is begun counts."""

    name = "transcription"

    def need(self, request: TranscriptionRequest) -> Need:
        """The length of the sound decides."""
        seconds = request.seconds
        most = _whole(seconds if seconds is not None else len(request.audio) / LEAST_BYTES_PER_SECOND)
        asked = {"language", "prompt", "temperature"}
        return Need(
            input_bound=most * TOKENS_IN_PER_SECOND + len((request.prompt or "").encode()),
            input_estimate=0,  # long sound is cut by the provider, not refused
            max_tokens=0,
            units={"audio_second": most, "completion": most * TOKENS_OUT_PER_SECOND},
            inputs=frozenset({"audio"}),
            outputs=frozenset({"transcription"}),
            parameters=frozenset(name for name in asked if getattr(request, name) is not None),
        )

    def check(self, request: TranscriptionRequest, answer: Transcript) -> None:
        """Times where they were asked for."""
        if request.is_timed and answer.text.strip() and not answer.segments and not answer.words:
            raise short_of("The provider tells no times with this model: ask for json or text.")

    def used(self, request: TranscriptionRequest, answer: Transcript) -> Used:
        """By the provider's clock, else by the sound's own, else by its size."""
        usual = len(request.audio) / USUAL_BYTES_PER_SECOND
        seconds = next((one for one in (answer.seconds, request.seconds) if one is not None), usual)
        is_counted = answer.seconds is None and answer.usage is None
        usage = answer.usage or Usage(source="counted" if is_counted else "provider")
        return Used(usage, {"audio_second": _whole(seconds)})


TRANSCRIPTION: Final = TranscriptionOperation()


def _whole(seconds: float) -> int:
    return max(1, ceil(seconds))
