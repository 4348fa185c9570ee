"""Which media each dialect takes in which form, and what has to be done to a part before it is written. Pure.

A part by address may have to be fetched, a document turned into its words or its pages. What cannot be done
excludes the endpoint, with a reason, before anything is tried.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from routing.adapters import media
from routing.canonical import Audio, File, Image, Part, Video

Kind = Literal["image", "audio", "video", "file"]
Form = Literal["url", "data", "id", "youtube"]
What = Literal["", "pdf", "text", "image", "other"]  # of a file; "" where only its content can tell
Step = Literal["keep", "fetch", "unfold"]
Forms = frozenset[Form]
BOTH: Final[Forms] = frozenset({"url", "data"})
DATA: Final[Forms] = frozenset({"data"})
NONE: Final[Forms] = frozenset()
PDF: Final[frozenset[What]] = frozenset({"", "pdf"})
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
YOUTUBE: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")
TEXTS: Final = ("text/", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The forms that a dialect takes of each kind, and what sorts of document it reads itself (`files`)."""

    image: Forms = BOTH
    audio: Forms = NONE
    video: Forms = NONE
    file: Forms = NONE
    files: frozenset[What] = PDF
    pictures: frozenset[str] = PICTURES  # of those sent as data


# What an endpoint takes is what its dialect can carry, and of that what its catalogue entry names as input.
INTAKES: Final[Mapping[str, Intake]] = {
    "openai_chat": Intake(audio=DATA, file=DATA),
    "azure_openai": Intake(audio=DATA, file=DATA),
    "openai_responses": Intake(file=BOTH, files=frozenset({"", "pdf", "text", "other"})),
    "anthropic": Intake(file=BOTH, files=frozenset({"", "pdf", "text", "image"})),
    # Its addresses are those of files in the operator's own project; of the web it reads only YouTube.
    "gemini": Intake(
        image=DATA, audio=DATA, video=frozenset({"data", "youtube"}), file=DATA,
        files=frozenset({"", "pdf", "text", "image"}), pictures=PICTURES | {"image/heic", "image/heif"},
    ),
    # Its addresses are objects in the operator's own buckets.
    "bedrock_converse": Intake(
        image=DATA, audio=DATA, video=DATA, file=DATA, files=frozenset({"", "pdf", "text", "image", "other"})
    ),
    "mistral": Intake(audio=BOTH, file=BOTH),
    "cohere": Intake(file=DATA, files=frozenset({"text"})),
    "qwen_compatible": Intake(audio=BOTH, video=BOTH),
    "dashscope_native": Intake(audio=BOTH, video=BOTH),
    "together": Intake(audio=BOTH, video=BOTH),
    "fireworks": Intake(video=BOTH),
    "nebius": Intake(audio=BOTH, video=BOTH),
    # Servers of one's own: some read no addresses at all, and none should call a stranger's from inside a network.
    "generic": Intake(image=DATA, audio=DATA, video=DATA, file=DATA),
    "groq": Intake(),
    "xai": Intake(),
    "deepseek": Intake(image=NONE),
}  # fmt: skip
ANYTHING: Final = Intake(audio=BOTH, video=BOTH, file=BOTH, files=frozenset({"", "pdf", "text", "image", "other"}))


@dataclass(frozen=True, slots=True, order=True)
class Medium:
    """A medium of a request, as far as the choice needs to know it."""

    kind: Kind
    form: Form
    what: What = ""


class Unsuited(Exception):
    """An endpoint can carry a medium in no form; the message completes "this endpoint …"."""


def media_of(parts: Iterable[Part]) -> frozenset[Medium]:
    """The media among the parts, each sort once; those inside results of tools too."""
    return frozenset(medium for part in media.opened(parts) for medium in _media(part))


def _media(part: Part) -> Iterator[Medium]:
    match part:
        case Image(url):
            yield Medium("image", _form(url))
        case Audio(_, _, url):
            yield Medium("audio", _form(url) if url else "data")
        case Video(None, frames):
            yield from (Medium("video", _form(frame)) for frame in frames)
        case Video(str(url)):
            yield Medium("video", "youtube" if url.startswith(YOUTUBE) else _form(url))
        case File(_, data, _, url):
            yield Medium("file", _form(url) if url else "data" if data is not None else "id", what_of(part))


def what_of(part: File) -> What:
    """What sort of document a file is, by the type or the name that it comes with."""
    data = part.data or part.url or ""
    kind = media.read_data_url(data, fallback="").media_type if media.is_data_url(data) else ""
    kind = kind or media.type_of(part.filename or part.url or "", fallback="")
    if kind in media.UNTYPED:
        return ""
    if kind == media.PDF:
        return "pdf"
    return "text" if kind.startswith(TEXTS) else "image" if kind.startswith("image/") else "other"


def _form(url: str) -> Form:
    return "data" if media.is_data_url(url) else "url"


def intake_of(dialect: str) -> Intake:
    """What a dialect takes; of one that is not listed (a test's own) all is believed."""
    return INTAKES.get(dialect, ANYTHING)


def step_for(medium: Medium, *, dialect: str, inputs: frozenset[str]) -> Step:
    """What to do with a medium for an endpoint of this dialect that takes these kinds of input.

    "keep", "fetch" (then ask again about what came), or "unfold": the words or the pages of a document in its
    place. Raises Unsuited where nothing helps.
    """
    takes = intake_of(dialect)
    if medium.kind == "file":
        return _file_step(medium, takes, inputs)
    forms: Forms = getattr(takes, medium.kind)
    if medium.kind not in inputs or not forms:
        raise Unsuited(f"takes no {medium.kind}")
    if medium.form in forms or (medium.form == "youtube" and "url" in forms):
        return "keep"
    if medium.form == "url":
        return "fetch"
    raise Unsuited("takes no films of YouTube" if medium.form == "youtube" else f"takes {medium.kind} by address only")


def _file_step(medium: Medium, takes: Intake, inputs: frozenset[str]) -> Step:
    if medium.form == "id":
        raise Unsuited("takes no files by an id of another provider's")
    is_read = "file" in inputs and medium.what in takes.files
    # By address only what it reads itself is left to it: most read PDFs there and nothing else.
    if is_read and medium.form in takes.file and (medium.form == "data" or medium.what in PDF):
        return "keep"
    if medium.what == "other" and not (is_read and takes.file):
        raise Unsuited("takes no files of this type (of those it cannot read, PDFs and text are converted)")
    if medium.what == "image" and not ("image" in inputs and takes.image):
        raise Unsuited("takes no image")
    return "fetch" if medium.form == "url" else "unfold"


def refusal(needed: frozenset[Medium], *, dialect: str, inputs: frozenset[str]) -> str | None:
    """Why an endpoint can carry these media in no form at all; None where it can."""
    try:
        for medium in sorted(needed):
            step_for(medium, dialect=dialect, inputs=inputs)
    except Unsuited as error:
        return str(error)
    return None
