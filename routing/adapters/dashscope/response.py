"""Answers and refusals of DashScope, read: choices as OpenAI's dialect has them, in an envelope of its own."""

from collections.abc import Mapping
from typing import Final

from marketplace.lib import sse
from routing.adapters import bodies, errors
from routing.adapters.dialect import Dialect
from routing.adapters.events import EventReader
from routing.adapters.openai_stream import read_choice
from routing.canonical import Chunk, Json, UpstreamError, UpstreamKind, Usage

CHOICES: Final = Dialect(kind="dashscope_native")  # its choices need no row of differences
# The status that an error has, by its code: inside a stream the status is told in a comment, which is dropped.
CODES: Final[Mapping[str, tuple[int, UpstreamKind, bool]]] = {
    "DataInspectionFailed": (400, "content_policy", False),
    "data_inspection_failed": (400, "content_policy", False),
    "InvalidParameter": (400, "invalid", False),
    "InvalidApiKey": (401, "auth", True),
    "AccessDenied": (403, "auth", True),
    "Arrearage": (400, "credit", True),
    "ModelNotFound": (404, "not_found", True),
    "Throttling": (429, "rate_limited", True),
    "RequestTimeOut": (500, "timeout", True),
    "InternalError": (500, "unavailable", True),
    "ServiceUnavailable": (503, "unavailable", True),
}
TOO_LONG: Final = "Range of input length"


def read_answer(body: bytes) -> Chunk:
    """A plain answer as one chunk. Raises UpstreamError when it is none or says that it failed."""
    chunk = read_piece(bodies.read_object(body, "answer"))
    if not chunk.has_content and chunk.finish_reason is None:
        raise bodies.malformed("The provider's answer is empty.")
    return chunk


class DashScopeStream(EventReader):
    """Reads its events: a piece of the answer in each, the last one with a finish reason that is not "null"."""

    def take(self, event: sse.Event) -> Chunk | None:
        """What one event brings. Counts so far come with every one; only the last are the bill."""
        chunk = read_piece(bodies.read_object(event.data, "event"))
        if chunk.finish_reason is not None:
            self.finish_seen = self.is_finished = True
            return chunk
        return chunk if chunk.has_content else None


def read_piece(data: Mapping[str, Json]) -> Chunk:
    """One object, plain or of a stream. Raises UpstreamError."""
    if data.get("code"):
        raise read_error(data, status=None, headers={})
    choices = bodies.objects(bodies.inside(data, "output"), "choices")
    if not choices:
        raise bodies.malformed("The provider's answer has no choice.")
    ended = choices[0].get("finish_reason") not in (None, "", "null")
    usage = read_usage(bodies.inside(data, "usage")) if ended else None
    return read_choice(choices[0], bodies.inside(choices[0], "message"), CHOICES, usage=usage)


def read_usage(usage: Mapping[str, Json]) -> Usage | None:
    """The usage; images are among the input's tokens, cached ones too."""
    prompt, completion = bodies.count(usage, "input_tokens"), bodies.count(usage, "output_tokens")
    if prompt is None or completion is None:
        return None
    cached = bodies.count(bodies.inside(usage, "prompt_tokens_details"), "cached_tokens") or 0
    thoughts = bodies.count(bodies.inside(usage, "output_tokens_details"), "reasoning_tokens") or 0
    return Usage(
        prompt, completion, cached_tokens=min(cached, prompt), reasoning_tokens=min(thoughts, completion)
    )  # fmt: skip


def read_error(data: Mapping[str, Json], *, status: int | None, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal, understood from its code; `Throttling.RateQuota` and the like by what stands before the point."""
    code, message = bodies.text(data, "code")[:100], bodies.text(data, "message")[: bodies.MESSAGE_MAX]
    known = CODES.get(code) or CODES.get(code.partition(".")[0])
    by_code = known[0] if known else 502
    found = errors.from_status(
        status=by_code if status is None else status, message=message, code=code or None, headers=headers
    )
    if TOO_LONG in message:
        found.kind, found.retryable = "context_length", False
    elif known is not None:
        found.kind, found.retryable = known[1], known[2]
    return found
