"""The adapter of every OpenAI-alike: one translation, driven by a Dialect row."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from routing.adapters import errors
from routing.adapters.base import HttpRequest, Target
from routing.adapters.breakpoints import with_breakpoints
from routing.adapters.dialect import Dialect
from routing.adapters.effort import EFFORT_PERCENT
from routing.adapters.openai_messages import write_message, write_tool
from routing.adapters.openai_stream import OpenAIStream, read_answer
from routing.canonical import ChatRequest, Chunk, Json, ReasoningWish, UpstreamError

MESSAGE_MAX: Final = 2_000  # of a provider's error text
# Never sent, whatever a dialect passes on: they would multiply the answer, or override what the gateway sets.
NEVER: Final = frozenset({"n", "best_of", "stream", "stream_options", "model", "messages", "max_tokens"})


class OpenAICompatible:
    """Speaks one row of the table of OpenAI-alikes."""

    __slots__ = ("dialect", "kind")

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.kind = dialect.kind

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request; parameters that it does not know are left out."""
        dialect = self.dialect
        body: dict[str, Json] = dict(dialect.defaulted)
        if dialect.passes_unknown:
            body |= {name: value for name, value in request.unknown.items() if name not in NEVER}
        body["model"] = target.upstream
        messages = request.messages
        if dialect.has_breakpoints:
            messages = with_breakpoints(messages, upstream=target.upstream)
        body["messages"] = [write_message(message, dialect) for message in messages]
        body |= self._parameters(request, max_tokens)
        if request.tools:
            body["tools"] = [write_tool(tool, dialect) for tool in request.tools]
            if request.tool_choice is not None:
                body["tool_choice"] = self._tool_choice(request.tool_choice)
        if stream:
            body["stream"] = True
            if dialect.asks_for_usage:
                body["stream_options"] = {"include_usage": True}
        accept = "text/event-stream" if stream else "application/json"
        headers = (("content-type", "application/json"), ("accept", accept), *self._credentials(target))
        version = target.credentials.get("api_version") or dialect.api_version
        path = dialect.path.format(upstream=quote(target.upstream, safe=""), api_version=quote(version, safe=""))
        return HttpRequest(target.base_url.rstrip("/") + path, headers, orjson.dumps(body))

    def parse_answer(self, body: bytes) -> Chunk:
        """The single choice of a chat.completion."""
        return read_answer(body, self.dialect)

    def stream_parser(self) -> OpenAIStream:
        """A reader of chat.completion.chunk events."""
        return OpenAIStream(self.dialect)

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal in any of the shapes that the alikes use: nested, flat, a string, a list of details."""
        message, code = read_error(body)
        return errors.from_status(status=status, message=message, code=code, headers=headers)

    def _credentials(self, target: Target) -> tuple[tuple[str, str], ...]:
        key = target.credentials.get("api_key")
        if not key:
            return self.dialect.headers
        own = (self.dialect.key_header, key) if self.dialect.key_header else ("authorization", f"Bearer {key}")
        return (*self.dialect.headers, own)

    def _parameters(self, request: ChatRequest, max_tokens: int | None) -> dict[str, Json]:
        dialect = self.dialect
        asked: dict[str, Json] = dict(request.parameters)
        if max_tokens is not None:
            asked["max_tokens"] = max_tokens
        if request.response_format is not None:
            asked["response_format"] = request.response_format
        if not request.tools:
            asked.pop("parallel_tool_calls", None)
        written = {
            dialect.renamed.get(name, name): value for name, value in asked.items() if name not in dialect.excluded
        }
        if request.reasoning is not None:
            written |= self._reasoning(request.reasoning, max_tokens)
        return written

    def _reasoning(self, wish: ReasoningWish, max_tokens: int | None) -> dict[str, Json]:
        dialect = self.dialect
        effort = wish.effort or ("medium" if wish.enabled else None)
        written: dict[str, Json] = {}
        if dialect.effort_field and effort is not None:
            written[dialect.effort_field] = dialect.efforts.get(effort, effort)
        if dialect.thinking_switch and (effort is not None or wish.max_tokens is not None or wish.enabled is not None):
            written[dialect.thinking_switch] = effort != "none" and wish.enabled is not False
        if dialect.thinking_budget:
            budget = wish.max_tokens
            if budget is None and effort in EFFORT_PERCENT and max_tokens is not None:
                budget = max(1, max_tokens * EFFORT_PERCENT[effort] // 100)
            if budget is not None:
                written[dialect.thinking_budget] = budget
        return written

    def _tool_choice(self, choice: Json) -> Json:
        return self.dialect.tool_choices.get(choice, choice) if isinstance(choice, str) else choice


def read_error(body: bytes) -> tuple[str, str | None]:
    """(message, code) of an error body; an empty message where it holds none that can be read."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", None
    return read_error_object(data)


def read_error_object(data: Json) -> tuple[str, str | None]:
    """(message, code) of a decoded error: nested, flat, a bare string, or a list of details."""
    if not isinstance(data, dict):
        return "", None
    error = data.get("error", data)
    if isinstance(error, str):
        return error[:MESSAGE_MAX], _code(data.get("code"))
    if not isinstance(error, dict):
        return "", None
    message = error.get("message")
    if message is None and isinstance(error.get("detail"), list):
        found = [detail for detail in error["detail"] if isinstance(detail, dict)]
        message = "; ".join(f"{detail.get('msg')}: {_place(detail.get('loc'))}" for detail in found)
    elif message is None:
        message = error.get("detail")
    return (message[:MESSAGE_MAX] if isinstance(message, str) else ""), _code(error.get("code"))


def _code(code: Json) -> str | None:
    return str(code)[:100] if isinstance(code, str | int) else None


def _place(loc: Json) -> str:
    return ".".join(str(step) for step in loc) if isinstance(loc, list) else ""
