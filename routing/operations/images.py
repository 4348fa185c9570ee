"""Pictures made from words. All or nothing: what fails costs nothing, and each picture that comes is charged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from routing.canonical import Image, Usage
from routing.operations.base import Asked, Used, short_of
from routing.selection.candidates import Need
from routing.selection.needs import BYTES_PER_TOKEN, IMAGE_TOKENS

MAX_PICTURES: Final = 10
MAX_PROMPT: Final = 32_000
# Tokens of output that a picture takes where it is priced by them: above the dearest known, and what is usual.
MOST_TOKENS: Final = 8_192
USUAL_TOKENS: Final = 4_096
# Tiers of resolution: the side of a square of that many pixels.
TIERS: Final[Mapping[str, int]] = {"512": 512, "1K": 1_024, "2K": 2_048, "4K": 4_096}
STEP: Final = 64  # sides of pictures are multiples of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRequest(Asked):
    """`size` is in pixels; where it is None, `resolution` (of TIERS) and `aspect_ratio` say it, if anything."""

    prompt: str
    n: int = 1
    size: tuple[int, int] | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    seed: int | None = None
    references: tuple[Image, ...] = ()
    user: str | None = None
    as_url: bool = False

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height, where anything was said of them."""
        if self.size is not None or (self.resolution is None and self.aspect_ratio is None):
            return self.size
        side = TIERS[self.resolution or "1K"]
        across, down = (float(part) for part in (self.aspect_ratio or "1:1").split(":"))
        stretch = sqrt(across / down)
        return _rounded(side * stretch), _rounded(side / stretch)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in base64; `revised_prompt` is what the model made of the words."""

    data: str
    media_type: str
    revised_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Pictures:
    """What came; tokens are None where the provider did not count."""

    items: Sequence[Picture]
    tokens_in: int | None = None
    tokens_out: int | None = None


class ImagesOperation:
    """Priced by the picture (`generated_image`), by the request, or by tokens (`prompt`, `image_output`)."""

    name = "images"

    def need(self, request: ImagesRequest) -> Need:
        """As many pictures as are asked for."""
        size, shown = len(request.prompt.encode()), len(request.references)
        names = ("quality", "style", "background", "output_format", "output_compression", "seed")
        units = {"generated_image": request.n, "image_output": request.n * MOST_TOKENS}
        return Need(
            input_bound=size + shown * IMAGE_TOKENS,
            input_estimate=size // BYTES_PER_TOKEN,
            max_tokens=0,
            units=units | ({"image": shown} if shown else {}),
            inputs=frozenset({"text", "image"} if shown else {"text"}),
            outputs=frozenset({"image"}),
            parameters=frozenset(name for name in names if getattr(request, name) is not None),
        )

    def check(self, request: ImagesRequest, answer: Pictures) -> None:
        """One picture at least, and no more than were asked for."""
        if not 1 <= len(answer.items) <= request.n:
            raise short_of(f"The provider gave {len(answer.items)} pictures, {request.n} were asked for.")

    def used(self, request: ImagesRequest, answer: Pictures) -> Used:
        """The pictures that came; tokens by the provider's count, else what is usual."""
        made = len(answer.items)
        tokens = made * USUAL_TOKENS if answer.tokens_out is None else answer.tokens_out
        units = {"generated_image": made, "image_output": tokens, "image": len(request.references)}
        if answer.tokens_in is None:
            counted = len(request.prompt.encode()) // BYTES_PER_TOKEN
            return Used(Usage(max(1, counted), source="counted"), units)
        return Used(Usage(answer.tokens_in), units)


IMAGES: Final = ImagesOperation()


def _rounded(pixels: float) -> int:
    return max(STEP, round(pixels / STEP) * STEP)
