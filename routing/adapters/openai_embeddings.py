"""Embeddings as OpenAI and its alikes have them: POST /embeddings.

Vectors are always asked for as numbers, which is every provider's default: some answer a wish for base64
with nothing at all. What the caller reads is written by ingress.
"""

from collections.abc import Mapping
from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, objects, read_object
from routing.adapters.exchanges import Refusals, in_order, numbers, post_json
from routing.canonical import Image, Json, Text
from routing.operations.base import cannot
from routing.operations.embeddings import Embeddings, EmbeddingsRequest, Input, Tokens


class OpenAIEmbeddings(Refusals):
    """One row of differences: what the wish for a length is called, and whether tokens and users are known."""

    def __init__(self, *, dimensions: str = "dimensions", takes_tokens: bool = True, takes_user: bool = True) -> None:
        self._dimensions = dimensions
        self._takes_tokens = takes_tokens
        self._takes_user = takes_user

    def build(self, request: EmbeddingsRequest, *, target: Target) -> HttpRequest:
        """All inputs in one batch."""
        body: dict[str, Json] = {"model": target.upstream, "input": [self._input(one) for one in request.inputs]}
        if request.dimensions is not None:
            body[self._dimensions] = request.dimensions
        if request.user is not None and self._takes_user:
            body["user"] = request.user
        return post_json(target, "/embeddings", body)

    def parse_answer(self, body: bytes) -> Embeddings:
        """`{"data": [{"index", "embedding"}], "usage": {"prompt_tokens"}}`."""
        data = read_object(body, "embeddings")
        rows = in_order(objects(data, "data"), of="embeddings")
        vectors = [numbers(row.get("embedding"), of="embedding") for row in rows]
        return Embeddings(vectors, _tokens(inside(data, "usage")))

    def _input(self, one: Input) -> Json:
        if isinstance(one, Tokens):
            if not self._takes_tokens:
                raise cannot("This provider embeds text, not tokens.")
            return list(one.ids)
        if any(isinstance(part, Image) for part in one):
            raise cannot("This provider's embeddings take no images.")
        return "\n".join(part.text for part in one if isinstance(part, Text))


def _tokens(usage: Mapping[str, Json]) -> int | None:
    found = count(usage, "prompt_tokens")
    return found if found is not None else count(usage, "total_tokens")


EMBEDDINGS: Final = OpenAIEmbeddings()
MISTRAL: Final = OpenAIEmbeddings(dimensions="output_dimension", takes_tokens=False, takes_user=False)
