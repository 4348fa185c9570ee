"""The adapter for Alibaba's DashScope in its own words (`qwen_compatible` is its OpenAI-alike).

`base_url` ends before /services (https://dashscope-intl.aliyuncs.com/api/v1). Credentials: `api_key`.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from routing.adapters.base import HttpRequest, Target
from routing.adapters.dashscope.request import path_of, write_request
from routing.adapters.dashscope.response import DashScopeStream, read_answer, read_error
from routing.adapters.exchanges import bearer
from routing.canonical import ChatRequest, Chunk, UpstreamError


class DashScope:
    """Speaks text-generation, and multimodal-generation where the model or the request wants it."""

    kind = "dashscope_native"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request; that it is to be streamed is said in a header."""
        path = path_of(request, upstream=target.upstream)
        body = write_request(request, upstream=target.upstream, stream=stream, max_tokens=max_tokens)
        accept = "text/event-stream" if stream else "application/json"
        streams = (("x-dashscope-sse", "enable"),) if stream else ()
        headers = (("content-type", "application/json"), ("accept", accept), *streams, *bearer(target))
        return HttpRequest(target.base_url.rstrip("/") + path, headers, orjson.dumps(body))

    def parse_answer(self, body: bytes) -> Chunk:
        """`{"output": {"choices"}, "usage"}`."""
        return read_answer(body)

    def stream_parser(self) -> DashScopeStream:
        """A reader of its events."""
        return DashScopeStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: `{"code", "message", "request_id"}`."""
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = {}
        return read_error(data if isinstance(data, dict) else {}, status=status, headers=headers)


DASHSCOPE: Final = DashScope()
