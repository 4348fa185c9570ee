"""Films made from words: a job that a provider works on for minutes. Charged once, when it has been made."""

from dataclasses import dataclass
from typing import Final, Literal

from routing.canonical import Image, Usage
from routing.operations.base import Asked, Used
from routing.selection.candidates import Need
from routing.selection.needs import BYTES_PER_TOKEN

NAME: Final = "videos"
MAX_PROMPT: Final = 32_000
MAX_SECONDS: Final = 60
# Where the caller says no length: what is reserved is also asked for, so that no default of a provider's is dearer.
DEFAULT_SECONDS: Final = 4
State = Literal["pending", "in_progress", "completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequest(Asked):
    """`size` is "1280x720"; frames are pictures that the film begins or ends with."""

    prompt: str
    seconds: int = DEFAULT_SECONDS
    size: str | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    seed: int | None = None
    first_frame: Image | None = None
    last_frame: Image | None = None
    sound: bool | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """How a provider's work stands; `error` is its own words for why it failed."""

    upstream_id: str
    state: State
    error: str = ""


def need(request: VideoRequest) -> Need:
    """Priced by the second of film (`video_second`) or by the request: all known beforehand."""
    size = len(request.prompt.encode())
    shown = [frame for frame in (request.first_frame, request.last_frame) if frame is not None]
    asked = {"seed": request.seed, "generate_audio": request.sound, "resolution": request.resolution}
    return Need(
        input_bound=size,
        input_estimate=size // BYTES_PER_TOKEN,
        max_tokens=0,
        units=used(request).units,
        inputs=frozenset({"text", "image"} if shown else {"text"}),
        outputs=frozenset({"video"}),
        parameters=frozenset(name for name, value in asked.items() if value is not None),
    )


def used(request: VideoRequest) -> Used:
    """The seconds that were asked for."""
    return Used(Usage(), {"video_second": request.seconds})
