"""Pictures as OpenAI and its alikes have them: POST /images/generations.

Data is always asked for: a provider's link may be gone before the caller has followed it, and shows who made it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, malformed, objects, read_object, text
from routing.adapters.exchanges import Refusals, post_json
from routing.canonical import Json
from routing.operations.base import cannot
from routing.operations.images import ImagesRequest, Picture, Pictures

HEADS: Final = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF", "image/webp"),
    (b"<", "image/svg+xml"),
)
# gpt-image-1 knows three sizes: square, wide, tall.
SQUARE, WIDE, TALL = "1024x1024", "1536x1024", "1024x1536"


class OpenAIImages(Refusals):
    """One row of differences: the word that asks for data, how a size is said, which wishes are known."""

    def __init__(
        self, *, data: str | None, known: frozenset[str], sides: bool = False, reference: str | None = None
    ) -> None:
        self._data = data
        self._known = known
        self._sides = sides
        self._reference = reference

    def build(self, request: ImagesRequest, *, target: Target) -> HttpRequest:
        """All pictures in one request; wishes that the dialect does not know are left out."""
        body: dict[str, Json] = {"model": target.upstream, "prompt": request.prompt, "n": request.n}
        wishes = {name: getattr(request, name) for name in sorted(self._known)}
        body |= {name: value for name, value in wishes.items() if value is not None}
        body |= self._size(request)
        data = self._data
        if data is None and target.upstream.startswith("dall-e"):  # only these answer with links unless told
            data = "b64_json"
        if data is not None:
            body["response_format"] = data
        if request.references:
            if self._reference is None or len(request.references) > 1:
                raise cannot("This provider makes pictures from words, not from so many pictures.")
            body[self._reference] = request.references[0].url
        return post_json(target, "/images/generations", body)

    def parse_answer(self, body: bytes) -> Pictures:
        """`{"data": [{"b64_json", "revised_prompt"}], "usage": {"input_tokens", "output_tokens"}}`."""
        data = read_object(body, "pictures")
        usage = inside(data, "usage")
        items = [_picture(row) for row in objects(data, "data")]
        return Pictures(items, count(usage, "input_tokens"), count(usage, "output_tokens"))

    def _size(self, request: ImagesRequest) -> dict[str, Json]:
        pixels = request.pixels
        if pixels is None:
            return {}
        width, height = pixels
        if self._sides:
            return {"width": width, "height": height}
        if self._data is None and request.size is None:  # a wish of a shape: the nearest that there is
            return {"size": SQUARE if width == height else WIDE if width > height else TALL}
        return {"size": f"{width}x{height}"}


def _picture(row: Mapping[str, Json]) -> Picture:
    data = text(row, "b64_json")
    if not data:
        raise malformed("The provider answered with a picture that holds no data.")
    try:
        head = base64.b64decode(data[:16], validate=True)
    except (ValueError, binascii.Error):
        raise malformed("The provider's picture is not base64.") from None
    kind = next((kind for start, kind in HEADS if head.startswith(start)), "application/octet-stream")
    return Picture(data, kind, text(row, "revised_prompt") or None)


OPENAI: Final = OpenAIImages(
    data=None,
    known=frozenset({"quality", "style", "background", "output_format", "output_compression", "user"}),
)
GENERIC: Final = OpenAIImages(data="b64_json", known=frozenset({"quality", "style", "seed"}))
XAI: Final = OpenAIImages(data="b64_json", known=frozenset({"user"}))
TOGETHER: Final = OpenAIImages(
    data="base64", known=frozenset({"seed", "output_format"}), sides=True, reference="image_url"
)
