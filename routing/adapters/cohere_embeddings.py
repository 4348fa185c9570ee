"""Cohere's embeddings: POST /v2/embed. `base_url` ends before /v2 (https://api.cohere.com)."""

from typing import Final

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import count, inside, malformed, read_object
from routing.adapters.exchanges import Refusals, numbers, post_json
from routing.canonical import Image, Json, Text
from routing.operations.base import cannot
from routing.operations.embeddings import Embeddings, EmbeddingsRequest, Input, Tokens

MAX_INPUTS: Final = 96
# Its models want to know what a vector is for; a document is the side that is stored.
DEFAULT_TYPE: Final = "search_document"
# What other vendors' clients call the same.
TYPES: Final = {"query": "search_query", "document": "search_document", "passage": "search_document"}


class CohereEmbeddings(Refusals):
    """Texts, and images with words."""

    def build(self, request: EmbeddingsRequest, *, target: Target) -> HttpRequest:
        """All inputs in one batch, of 96 at most."""
        if len(request.inputs) > MAX_INPUTS:
            raise cannot(f"Cohere embeds at most {MAX_INPUTS} inputs at a time: send fewer in a request.")
        wanted = request.input_type or DEFAULT_TYPE
        body: dict[str, Json] = {
            "model": target.upstream,
            "input_type": TYPES.get(wanted, wanted),
            "embedding_types": ["float"],
            "inputs": [{"content": _content(one)} for one in request.inputs],
        }
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return post_json(target, "/v2/embed", body)

    def parse_answer(self, body: bytes) -> Embeddings:
        """`{"embeddings": {"float": [[…]]}, "meta": {"billed_units": {"input_tokens"}}}`."""
        data = read_object(body, "embeddings")
        rows = inside(data, "embeddings").get("float")
        if not isinstance(rows, list):
            raise malformed("The provider's answer holds no embeddings.")
        billed = inside(inside(data, "meta"), "billed_units")
        words, pictures = count(billed, "input_tokens"), count(billed, "image_tokens")
        tokens = None if words is None and pictures is None else (words or 0) + (pictures or 0)
        return Embeddings([numbers(row, of="embedding") for row in rows], tokens)


def _content(one: Input) -> list[Json]:
    if isinstance(one, Tokens):
        raise cannot("Cohere embeds text, not tokens.")
    return [_part(part) for part in one]


def _part(part: Text | Image) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url}}


EMBEDDINGS: Final = CohereEmbeddings()
