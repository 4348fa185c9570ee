"""Media parts of a request as a provider wants them: inline with a media type, or by address."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from routing.canonical import UpstreamError

TYPES: Final[Mapping[str, str]] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "csv": "text/csv", "html": "text/html", "json": "application/json", "wav": "audio/wav", "mp3": "audio/mp3",
    "m4a": "audio/mp4", "ogg": "audio/ogg", "flac": "audio/flac", "aac": "audio/aac", "mp4": "video/mp4",
    "mpeg": "video/mpeg", "mov": "video/quicktime", "webm": "video/webm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inline:
    """Bytes in the request: base64 text and what they are."""

    media_type: str
    data: str

    def decoded(self) -> str:
        """The words of a text document."""
        return base64.b64decode(self.data).decode("utf-8", "replace")


def unfit(what: str) -> UpstreamError:
    """The dialect cannot carry a part of this request; an endpoint of another dialect may."""
    return UpstreamError(what, kind="invalid", retryable=True, status=400)


def read_data_url(url: str, *, fallback: str) -> Inline:
    """The bytes in a data URL; `fallback` is their type where it names none. Raises UpstreamError(kind invalid)."""
    head, comma, body = url.partition(",")
    if not comma:
        raise UpstreamError("A data URL in the request has no comma.", kind="invalid", retryable=False, status=400)
    media_type, *marks = head.removeprefix("data:").split(";")
    if "base64" in marks:
        return Inline(media_type or fallback, body)
    return Inline(media_type or fallback, base64.b64encode(unquote_to_bytes(body)).decode())


def is_data_url(url: str) -> bool:
    """Whether the bytes are in the URL itself."""
    return url.startswith("data:")


def is_base64(text: str) -> bool:
    """Whether a text can be base64 at all."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def type_of(url: str, *, fallback: str) -> str:
    """The media type that an address (or a file's name) promises by its ending."""
    ending = urlsplit(url).path.rpartition(".")[2].lower()
    return TYPES.get(ending, fallback)
