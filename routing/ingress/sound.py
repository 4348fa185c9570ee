"""Sound: what a format is called, and how long a piece is by what its file says of itself."""

from io import BytesIO
from math import isfinite
from typing import Final

from tinytag import TinyTag, TinyTagException

# The names that chats use for what media types call otherwise.
NAMES: Final = {"mpeg": "mp3", "wave": "wav", "x-wav": "wav", "x-flac": "flac", "mp4": "m4a"}


def format_of(media_type: str) -> str:
    """What `input_audio.format` calls a media type: "mp3" for "audio/mpeg; codecs=mp3"."""
    name = media_type.partition("/")[2].partition(";")[0]
    return NAMES.get(name, name)


def seconds_of(audio: bytes) -> float | None:
    """The length in seconds; None where the file is of a kind that is not known, broken, or does not say.

    The length is what the sender wrote: good for a reservation. A provider's own count goes before it in the bill.
    """
    try:
        found = TinyTag.get(file_obj=BytesIO(audio), tags=False).duration
    except (TinyTagException, ValueError, IndexError, KeyError, OSError, EOFError, ArithmeticError):
        return None
    return float(found) if found is not None and isfinite(found) and found > 0 else None
