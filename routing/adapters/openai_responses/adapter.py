"""The adapter for OpenAI's Responses API. `base_url` ends before /responses (https://api.openai.com/v1)."""

from collections.abc import Mapping
from typing import Final

from routing.adapters import errors
from routing.adapters.base import HttpRequest, Target
from routing.adapters.exchanges import post_json
from routing.adapters.openai_compat import read_error
from routing.adapters.openai_responses.request import write_request
from routing.adapters.openai_responses.response import read_answer
from routing.adapters.openai_responses.stream import ResponsesStream
from routing.canonical import ChatRequest, Chunk, UpstreamError


class OpenAIResponses:
    """Speaks POST /responses, stateless: nothing is stored at the provider, thoughts travel encrypted."""

    kind = "openai_responses"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request."""
        body = write_request(request, upstream=target.upstream, stream=stream, max_tokens=max_tokens)
        return post_json(target, "/responses", body, accept="text/event-stream" if stream else "application/json")

    def parse_answer(self, body: bytes) -> Chunk:
        """A response object."""
        return read_answer(body)

    def stream_parser(self) -> ResponsesStream:
        """A reader of its named events."""
        return ResponsesStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: `{"error": {"message", "type", "param", "code"}}`."""
        message, code = read_error(body)
        return errors.from_status(status=status, message=message, code=code, headers=headers)


OPENAI_RESPONSES: Final = OpenAIResponses()
