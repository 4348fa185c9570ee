"""Gemini's embeddings: POST /models/…:batchEmbedContents. It does not count tokens, so we do."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bodies import objects, read_object
from routing.adapters.exchanges import numbers
from routing.adapters.gemini.adapter import GEMINI
from routing.canonical import Image, Json, Text, UpstreamError
from routing.operations.base import cannot
from routing.operations.embeddings import Embeddings, EmbeddingsRequest, Input, Tokens

MAX_INPUTS: Final = 100
TASKS: Final = {
    "search_query": "RETRIEVAL_QUERY",
    "query": "RETRIEVAL_QUERY",
    "search_document": "RETRIEVAL_DOCUMENT",
    "document": "RETRIEVAL_DOCUMENT",
    "passage": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class GeminiEmbeddings:
    """Texts only."""

    def build(self, request: EmbeddingsRequest, *, target: Target) -> HttpRequest:
        """One request for each input, in one batch of 100 at most."""
        if len(request.inputs) > MAX_INPUTS:
            raise cannot(f"Gemini embeds at most {MAX_INPUTS} inputs at a time: send fewer in a request.")
        name = target.upstream if "/" in target.upstream else f"models/{target.upstream}"
        shared: dict[str, Json] = {"model": name}
        if request.dimensions is not None:
            shared["outputDimensionality"] = request.dimensions
        if request.input_type is not None:
            shared["taskType"] = TASKS.get(request.input_type, request.input_type.upper())
        body = {"requests": [{**shared, "content": {"parts": [{"text": _words(one)}]}} for one in request.inputs]}
        key = target.credentials.get("api_key")
        own = (("x-goog-api-key", key),) if key else ()
        url = f"{target.base_url.rstrip('/')}/{quote(name)}:batchEmbedContents"
        headers = (("content-type", "application/json"), ("accept", "application/json"), *own)
        return HttpRequest(url, headers, orjson.dumps(body))

    def parse_answer(self, body: bytes) -> Embeddings:
        """`{"embeddings": [{"values": […]}]}`."""
        rows = objects(read_object(body, "embeddings"), "embeddings")
        return Embeddings([numbers(row.get("values"), of="embedding") for row in rows])

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refusal in Google's form."""
        return GEMINI.error(status=status, headers=headers, body=body)


def _words(one: Input) -> str:
    if isinstance(one, Tokens):
        raise cannot("Gemini embeds text, not tokens.")
    if any(isinstance(part, Image) for part in one):
        raise cannot("Gemini's embeddings take no images here.")
    return "\n".join(part.text for part in one if isinstance(part, Text))


EMBEDDINGS: Final = GeminiEmbeddings()
