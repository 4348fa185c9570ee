"""Reading off a request what it needs: how large it is, which kinds of content, which parameters."""

from collections.abc import Iterable, Iterator
from typing import Final

from routing.canonical import Audio, ChatRequest, File, Image, Part, Text, ToolResult, Video
from routing.selection.candidates import Need

# Tokens that a medium may take: above what the large providers count for it.
IMAGE_TOKENS: Final = 4_096
VIDEO_TOKENS: Final = 250_000
UNSEEN_AUDIO_TOKENS: Final = 50_000
UNSEEN_FILE_TOKENS: Final = 250_000
AUDIO_BYTES_PER_TOKEN: Final = 64  # base64 of 16 kbit/s sound at 32 tokens a second
BYTES_PER_TOKEN: Final = 4  # by estimate; as a bound a byte is a token

MODALITIES: Final[tuple[tuple[type, str], ...]] = (
    (Text, "text"),
    (Image, "image"),
    (Audio, "audio"),
    (Video, "video"),
    (File, "file"),
)


def need_of(request: ChatRequest) -> Need:
    """The needs of a request."""
    parts = list(_parts(part for message in request.messages for part in message.parts))
    inline, media = 0, 0
    for part in parts:
        size, tokens = _medium(part)
        inline += size
        media += tokens
    words = max(0, request.input_bytes - inline)
    return Need(
        input_bound=words + media,
        input_estimate=words // BYTES_PER_TOKEN + media // 2,
        max_tokens=request.max_tokens,
        units={"image": images} if (images := sum(isinstance(part, Image) for part in parts)) else {},
        inputs=frozenset(name for kind, name in MODALITIES if any(isinstance(part, kind) for part in parts)),
        outputs=_outputs(request.parameters.get("modalities")),
        parameters=_parameters(request),
    )


def _outputs(wanted: object) -> frozenset[str]:
    names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    return frozenset(names or ["text"])


def _parts(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, ToolResult):
            yield from part.parts
        else:
            yield part


def _medium(part: Part) -> tuple[int, int]:
    """(bytes of it in the body that are no words, tokens that it may take)."""
    match part:
        case Image(url):
            return len(url), IMAGE_TOKENS
        case Audio(data, _, url):
            size = len(data or url or "")
            return size, size // AUDIO_BYTES_PER_TOKEN + 1 if data else UNSEEN_AUDIO_TOKENS
        case Video(url, frames):
            return len(url or "") + sum(map(len, frames)), len(frames) * IMAGE_TOKENS or VIDEO_TOKENS
        case File(_, data, _, url):
            size = len(data or url or "")
            return size, min(size, UNSEEN_FILE_TOKENS) if data else UNSEEN_FILE_TOKENS
    return 0, 0


def _parameters(request: ChatRequest) -> frozenset[str]:
    asked = set(request.parameters) - {"user", "metadata", "modalities"}
    if request.tools:
        asked.add("tools")
        if request.tool_choice is not None:
            asked.add("tool_choice")
    if request.max_tokens is not None:
        asked.add("max_tokens")
    if request.reasoning is not None:
        asked.add("reasoning")
    if request.response_format is not None:
        asked.add("response_format")
        if request.response_format.get("type") == "json_schema":
            asked.add("structured_outputs")
    return frozenset(asked)
