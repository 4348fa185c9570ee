"""The adapter for Cohere's chat, version 2. `base_url` ends before /v2 (https://api.cohere.com)."""

from collections.abc import Mapping
from typing import Final

import orjson

from routing.adapters.base import HttpRequest, Target
from routing.adapters.cohere.request import write_request
from routing.adapters.cohere.response import read_answer, read_error
from routing.adapters.cohere.stream import CohereStream
from routing.adapters.exchanges import post_json
from routing.canonical import ChatRequest, Chunk, UpstreamError


class CohereChat:
    """Speaks POST /v2/chat."""

    kind = "cohere"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request."""
        body = write_request(request, upstream=target.upstream, stream=stream, max_tokens=max_tokens)
        return post_json(target, "/v2/chat", body, accept="text/event-stream" if stream else "application/json")

    def parse_answer(self, body: bytes) -> Chunk:
        """A message with its finish reason and usage."""
        return read_answer(body)

    def stream_parser(self) -> CohereStream:
        """A reader of one message's events."""
        return CohereStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: `{"id", "message"}`."""
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = None
        return read_error(data, status=status, headers=headers)


COHERE: Final = CohereChat()
