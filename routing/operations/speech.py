"""Text read aloud. Its answer is sound, streamed as it comes, and is charged once it has begun to come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from routing.canonical import Usage
from routing.operations.base import Asked, Used
from routing.selection.candidates import Need
from routing.selection.needs import BYTES_PER_TOKEN

# Format -> the media type of its answers. pcm is 16-bit little-endian.
FORMATS: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
MAX_CHARACTERS: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest(Asked):
    """The text, who reads it and how; voices are the provider's own names."""

    text: str
    voice: str | None = None
    format: str = "pcm"
    speed: float | None = None
    instructions: str | None = None


NAME: Final = "speech"


def need(request: SpeechRequest) -> Need:
    """Everything that it costs is known beforehand: characters, the request, or tokens in at a byte each."""
    asked = {"speed": request.speed, "instructions": request.instructions}
    size = _size(request)
    return Need(
        input_bound=size,
        input_estimate=size // BYTES_PER_TOKEN,
        max_tokens=0,
        units={"character": len(request.text)},
        outputs=frozenset({"speech"}),
        parameters=frozenset(name for name, value in asked.items() if value is not None),
    )


def used(request: SpeechRequest) -> Used:
    """Characters as they are; tokens, which nobody reports with sound, by our own count."""
    tokens = max(1, _size(request) // BYTES_PER_TOKEN)
    return Used(Usage(tokens, source="counted"), {"character": len(request.text)})


def _size(request: SpeechRequest) -> int:
    return len(request.text.encode()) + len((request.instructions or "").encode())
