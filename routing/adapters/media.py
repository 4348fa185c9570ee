"""Media parts of a request as a provider wants them: inline with a media type, or by address."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from routing.canonical import Audio, File, Image, Part, ToolResult, UpstreamError, Video

PDF: Final = "application/pdf"
UNTYPED: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
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
        return Inline(_true_picture(media_type or fallback, body), body)
    return Inline(media_type or fallback, base64.b64encode(unquote_to_bytes(body)).decode())


def _true_picture(said: str, data: str) -> str:
    """A picture's type by its bytes: providers refuse one that is called a PNG and is a JPEG."""
    if not said.startswith("image/"):
        return said
    try:
        shown = type_shown(base64.b64decode(data[:88]), said=said)
    except binascii.Error:  # theirs to refuse
        return said
    return shown if shown.startswith("image/") else said


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


# How files of each type begin; of the containers, what their bytes 8 to 12 say.
BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"), (b"%PDF-", PDF), (b"ID3", "audio/mpeg"), (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"<svg", "image/svg+xml"), (b"<!doctype html", "text/html"), (b"<html", "text/html"),
)  # fmt: skip
RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
BRANDS: Final = {
    b"heic": "image/heic", b"mif1": "image/heif", b"avif": "image/avif", b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}  # fmt: skip
PLAYED: Final = ("audio/", "video/")


def type_shown(content: bytes, *, said: str) -> str:
    """The media type that a file's first 64 bytes show, else what is said of it.

    Whether a container of sound and pictures is the one or the other only who sends it can say.
    """
    shown = _shown(content)
    if shown.startswith(PLAYED) and said.startswith(PLAYED):
        return said
    return shown or said


def _shown(content: bytes) -> str:
    if content.startswith(b"RIFF"):
        return RIFF.get(content[8:12], "")
    if content[4:8] == b"ftyp":
        return BRANDS.get(content[8:12], "video/mp4")
    start = content.lstrip().lower() if content.lstrip().startswith(b"<") else content
    return next((kind for begins, kind in BEGINNINGS if start.startswith(begins)), "")


def opened(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, and in the place of a tool's result those inside it."""
    for part in parts:
        if isinstance(part, ToolResult):
            yield from part.parts
        else:
            yield part


def addresses(part: Part) -> Iterator[str]:
    """The addresses that a part is given by, data URLs among them."""
    match part:
        case Image(url=url):
            yield url
        case Audio(url=str(url)) | File(url=str(url)):
            yield url
        case Video(url=url, frames=frames):
            yield from frames
            if url is not None:
                yield url


def type_of(url: str, *, fallback: str) -> str:
    """The media type that an address (or a file's name) promises by its ending."""
    ending = urlsplit(url).path.rpartition(".")[2].lower()
    return TYPES.get(ending, fallback)
