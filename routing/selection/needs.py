"""Reading off a request what it needs: how large it is, which kinds of content, which parameters."""

from typing import Final

from routing.adapters import intake, media
from routing.canonical import Audio, ChatRequest, File, Image, Part, Text, Video
from routing.selection.candidates import Need

# Tokens that a medium may take: above what the large providers count for it.
IMAGE_TOKENS: Final = 4_096
VIDEO_TOKENS: Final = 250_000
UNSEEN_AUDIO_TOKENS: Final = 50_000
UNSEEN_FILE_TOKENS: Final = 250_000
LIKELY_FILE_TOKENS: Final = 10_000
# What a PDF of any size may be unfolded to: 20 pictures of its pages, or a quarter of a million characters.
PDF_TOKENS: Final = 20 * IMAGE_TOKENS
FILE_BYTES_PER_TOKEN: Final = 8  # by estimate: most of a document is fonts and pictures
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
    parts = list(media.opened(part for message in request.messages for part in message.parts))
    seen = [_medium(part) for part in parts]
    words = max(0, request.input_bytes - sum(size for size, _, _ in seen))
    return Need(
        input_bound=words + sum(most for _, most, _ in seen),
        input_estimate=words // BYTES_PER_TOKEN + sum(likely for _, _, likely in seen),
        max_tokens=request.max_tokens,
        units={"image": images} if (images := sum(isinstance(part, Image) for part in parts)) else {},
        inputs=frozenset(name for kind, name in MODALITIES if any(isinstance(part, kind) for part in parts)),
        outputs=_outputs(request.parameters.get("modalities")),
        parameters=_parameters(request),
        media=intake.media_of(parts),
    )


def _outputs(wanted: object) -> frozenset[str]:
    names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    return frozenset(names or ["text"])


def _medium(part: Part) -> tuple[int, int, int]:
    """(bytes of it in the body that are no words, tokens that it may take, tokens that it is likely to)."""
    match part:
        case Image(url):
            return len(url), IMAGE_TOKENS, IMAGE_TOKENS // 2
        case Audio(data, _, url):
            tokens = len(data) // AUDIO_BYTES_PER_TOKEN + 1 if data else UNSEEN_AUDIO_TOKENS
            return len(data or url or ""), tokens, tokens // 2
        case Video(url, frames):
            tokens = len(frames) * IMAGE_TOKENS or VIDEO_TOKENS
            return len(url or "") + sum(map(len, frames)), tokens, tokens // 2
        case File(_, data, _, url):
            size = len(data or url or "")
            tokens = min(size, UNSEEN_FILE_TOKENS) if data else UNSEEN_FILE_TOKENS
            likely = tokens // FILE_BYTES_PER_TOKEN if data else LIKELY_FILE_TOKENS
            if data and intake.what_of(part) in intake.PDF:  # it is packed: little may unfold to much
                tokens = max(tokens, PDF_TOKENS)
            return size, tokens, likely
    return 0, 0, 0


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
