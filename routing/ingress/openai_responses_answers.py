"""Canonical chunks written as OpenAI's responses and their stream events, with our id, model, provider and cost."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from marketplace.lib import sse
from routing.canonical import Chunk, FinishReason, Json
from routing.ingress.openai_chat_answers import KEEP_ALIVE, Bill, dollars, told_of
from routing.ingress.openai_responses_output import Event, Output

# An answer that ended for one of these is not complete.
INCOMPLETE: Final[Mapping[FinishReason, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer; `echo` is what the answer repeats of its request."""

    id: str
    created: int
    model: str
    provider: str = ""
    echo: Mapping[str, Json] = field(default_factory=dict)
    exclude_reasoning: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _output: Output = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _is_started: bool = False
    _finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        self._output = Output(self.id, exclude_reasoning=self.exclude_reasoning)

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        self._finish_reason = chunk.finish_reason
        for _ in self._output.take(chunk):
            pass
        for _ in self._output.finish(status=self._status):
            pass
        return orjson.dumps(self._response(self._status, bill=bill))

    def chunk(self, chunk: Chunk) -> bytes:
        """The events for a piece of a stream; empty where it holds nothing for the caller."""
        self._finish_reason = chunk.finish_reason or self._finish_reason
        events = list(self._output.take(chunk))
        return self._start() + b"".join(map(self._written, events)) if events else b""

    def waiting(self) -> bytes:
        """A comment that keeps a silent stream open."""
        return KEEP_ALIVE

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: what is open is closed, then the whole response with its usage."""
        start = self._start()
        closing = b"".join(map(self._written, self._output.finish(status=self._status)))
        whole = self._response(self._status, bill=bill)
        return start + closing + self._written({"type": f"response.{self._status}", "response": whole})

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: the response as it stands, failed, with the usage so far."""
        kind = metadata.get("error_type")
        word = "rate_limit_exceeded" if kind == "rate_limit_exceeded" else "server_error"
        error = {"code": word, "message": message, "status": code, "metadata": dict(metadata)}
        for _ in self._output.finish(status="incomplete"):
            pass  # what was open is no whole: no event says that it is done
        failed = self._response("failed", bill=bill) | {"error": error, "error_type": kind}
        return self._start() + self._written({"type": "response.failed", "response": failed})

    @property
    def _status(self) -> str:
        return "incomplete" if self._finish_reason in INCOMPLETE else "completed"

    def _start(self) -> bytes:
        """The events that begin every stream, once: sent with its first piece."""
        if self._is_started:
            return b""
        self._is_started = True
        response = self._response("in_progress") | {"output": []}
        return b"".join(
            self._written({"type": f"response.{name}", "response": response}) for name in ("created", "in_progress")
        )

    def _written(self, event: Event) -> bytes:
        return sse.event(orjson.dumps(event | {"sequence_number": next(self._numbers)}), event=event["type"])

    def _response(self, status: str, *, bill: Bill | None = None) -> dict[str, Json]:
        reason = INCOMPLETE.get(self._finish_reason) if self._finish_reason and status == "incomplete" else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": status,
            "model": self.model,
            "provider": self.provider,
            "output": self._output.items,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            **self.echo,
            "background": False,
            "store": False,
            "previous_response_id": None,
            "service_tier": None,
            **({"usage": usage_of(bill)} | told_of(self.told) if bill else {}),
        }


def usage_of(bill: Bill) -> dict[str, Json]:
    """The `usage` object with its cost, in dollars written exactly."""
    usage = bill.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": dollars(bill.cost_nano),
        "is_byok": bill.is_byok,
        "cost_details": {
            "upstream_inference_cost": bill.upstream,
            "upstream_inference_input_cost": dollars(bill.prompt_cost_nano),
            "upstream_inference_output_cost": dollars(bill.completion_cost_nano),
        },
        "usage_source": usage.source,
    }
