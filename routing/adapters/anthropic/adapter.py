"""The adapter for Anthropic's Messages API and for those who speak it.

`base_url` ends before `/messages` (https://api.anthropic.com/v1). Credentials: `api_key`; and `version`, for a
provider that knows only an older one: "2023-06-01" is sent with the key as `x-api-key`, as clients did then.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from routing.adapters.anthropic import request as requests
from routing.adapters.anthropic.response import read_answer, read_error
from routing.adapters.anthropic.stream import AnthropicStream
from routing.adapters.base import HttpRequest, Target
from routing.canonical import ChatRequest, Chunk, UpstreamError

VERSION: Final = "2026-10-21"


class AnthropicMessages:
    """Speaks POST /v1/messages."""

    kind = "anthropic"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request; `max_tokens` is always in it."""
        body = requests.write_request(request, upstream=target.upstream, stream=stream, max_tokens=max_tokens)
        accept = "text/event-stream" if stream else "application/json"
        headers = (("content-type", "application/json"), ("accept", accept), *_credentials(target))
        return HttpRequest(target.base_url.rstrip("/") + "/messages", headers, orjson.dumps(body))

    def parse_answer(self, body: bytes) -> Chunk:
        """A message."""
        return read_answer(body)

    def stream_parser(self) -> AnthropicStream:
        """A reader of one message's events."""
        return AnthropicStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: `{"type": "error", "error": {"type", "message"}}`."""
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = None
        return read_error(data, status=status, headers=headers)


def _credentials(target: Target) -> tuple[tuple[str, str], ...]:
    key = target.credentials.get("api_key")
    version = target.credentials.get("version") or VERSION
    own: tuple[tuple[str, str], ...] = ()
    if key:
        own = (("x-api-key", key),) if version < VERSION else (("authorization", f"Bearer {key}"),)
    return (("anthropic-version", version), *own)


ANTHROPIC: Final = AnthropicMessages()
