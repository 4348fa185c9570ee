"""Texts, tokens and images as vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from routing.canonical import Image, Text, Usage
from routing.operations.base import Asked, Used, short_of
from routing.selection.candidates import Need
from routing.selection.needs import BYTES_PER_TOKEN, IMAGE_TOKENS

MAX_INPUTS: Final = 2_048


@dataclass(frozen=True, slots=True)
class Tokens:
    """An input that the caller has cut into tokens itself."""

    ids: tuple[int, ...]


# One thing to embed: a text or an image with words, in order; or tokens.
Input = tuple[Text | Image, ...] | Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsRequest(Asked):
    """`input_type` says what the vectors are for, such as search_query; `base64` how the caller reads them."""

    inputs: tuple[Input, ...]
    dimensions: int | None = None
    input_type: str | None = None
    user: str | None = None
    base64: bool = False


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each input, in order; `prompt_tokens` is None where the provider did not count."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int | None = None


class EmbeddingsOperation:
    """Priced by tokens in (`prompt`); images by `image` where that has a price."""

    name = "embeddings"

    def need(self, request: EmbeddingsRequest) -> Need:
        """A byte is a token at most, an image what chats take it for."""
        tokens, size, images = _size(request)
        return Need(
            input_bound=tokens + size + images * IMAGE_TOKENS,
            # What must fit an endpoint's context is the longest input, not their sum.
            input_estimate=max(_estimate(one) for one in request.inputs),
            max_tokens=0,
            units={"image": images} if images else {},
            inputs=frozenset({"image"} if images else ()) | frozenset({"text"} if tokens or size else ()),
            outputs=frozenset({"embeddings"}),
            parameters=frozenset({"dimensions"} if request.dimensions else ()),
        )

    def check(self, request: EmbeddingsRequest, answer: Embeddings) -> None:
        """A vector for each input, of the length asked for."""
        if len(answer.vectors) != len(request.inputs):
            raise short_of(f"The provider gave {len(answer.vectors)} vectors for {len(request.inputs)} inputs.")
        lengths = {len(vector) for vector in answer.vectors}
        if len(lengths) != 1 or 0 in lengths:
            raise short_of("The provider's vectors are not of one length.")
        if request.dimensions is not None and lengths != {request.dimensions}:
            raise short_of(f"The provider's vectors have {lengths.pop()} numbers, not {request.dimensions}.")

    def used(self, request: EmbeddingsRequest, answer: Embeddings) -> Used:
        """Tokens by the provider's count, else four bytes each."""
        tokens, size, images = _size(request)
        units = {"image": images} if images else {}
        if answer.prompt_tokens is not None:
            return Used(Usage(answer.prompt_tokens), units)
        counted = tokens + -(-size // BYTES_PER_TOKEN) + images * IMAGE_TOKENS // 2
        return Used(Usage(max(1, counted), source="counted"), units)


EMBEDDINGS: Final = EmbeddingsOperation()


def _size(request: EmbeddingsRequest) -> tuple[int, int, int]:
    """(tokens, bytes of text, images) of all inputs."""
    tokens, size, images = 0, 0, 0
    for one in request.inputs:
        if isinstance(one, Tokens):
            tokens += len(one.ids)
            continue
        size += sum(len(part.text.encode()) for part in one if isinstance(part, Text))
        images += sum(isinstance(part, Image) for part in one)
    return tokens, size, images


def _estimate(one: Input) -> int:
    if isinstance(one, Tokens):
        return len(one.ids)
    size = sum(len(part.text.encode()) for part in one if isinstance(part, Text))
    return size // BYTES_PER_TOKEN + IMAGE_TOKENS // 2 * sum(isinstance(part, Image) for part in one)
