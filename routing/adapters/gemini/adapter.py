"""The adapter for Google's Gemini API, with an AI Studio key or through Vertex AI.

`base_url` ends before `/models/…`: https://generativelanguage.googleapis.com/v1beta with `api_key`, or
https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/publishers/google with
`service_account`, the account's JSON, which services.google_tokens exchanges for the `access_token` read here.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from routing.adapters.base import HttpRequest, Target
from routing.adapters.gemini.request import write_request
from routing.adapters.gemini.response import read_answer, read_error
from routing.adapters.gemini.stream import GeminiStream
from routing.canonical import ChatRequest, Chunk, UpstreamError


class Gemini:
    """Speaks generateContent and streamGenerateContent."""

    kind = "gemini"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request; the model is in the path."""
        body = write_request(request, upstream=target.upstream, max_tokens=max_tokens)
        name = target.upstream if "/" in target.upstream else f"models/{target.upstream}"
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        url = f"{target.base_url.rstrip('/')}/{quote(name)}:{method}"
        accept = "text/event-stream" if stream else "application/json"
        token, key = target.credentials.get("access_token"), target.credentials.get("api_key")
        own = (("authorization", f"Bearer {token}"),) if token else (("x-goog-api-key", key),) if key else ()
        return HttpRequest(url, (("content-type", "application/json"), ("accept", accept), *own), orjson.dumps(body))

    def parse_answer(self, body: bytes) -> Chunk:
        """A GenerateContentResponse."""
        return read_answer(body)

    def stream_parser(self) -> GeminiStream:
        """A reader of its pieces."""
        return GeminiStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: `{"error": {"code", "message", "status", "details"}}`."""
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = None
        return read_error(data, status=status, headers=headers)


GEMINI: Final = Gemini()
