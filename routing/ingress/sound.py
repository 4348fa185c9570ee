"""How long a piece of sound is, by what its file says of itself."""

from io import BytesIO
from math import isfinite

from tinytag import TinyTag, TinyTagException


def seconds_of(audio: bytes) -> float | None:
    """The length in seconds; None where the file is of a kind that is not known, broken, or does not say.

    The length is what the sender wrote: good for a reservation. A provider's own count goes before it in the bill.
    """
    try:
        found = TinyTag.get(file_obj=BytesIO(audio), tags=False).duration
    except (TinyTagException, ValueError, IndexError, KeyError, OSError, EOFError, ArithmeticError):
        return None
    return float(found) if found is not None and isfinite(found) and found > 0 else None
