"""OpenAI's chat dialect, as a simulated provider speaks it."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from routing.simulation.exchange import CREATED, Asked, Exchange, NotAsked, event


class OpenAIChat(Exchange):
    """POST /v1/chat/completions."""

    base: ClassVar[str] = "/v1"
    tail: ClassVar[bytes] = b"data: [DONE]\n\n"
    half: ClassVar[bytes] = b'data: {"choices": [{"index": 0, "delta": {"content": "half of\n\n'
    endless: ClassVar[bytes] = b'data: {"choices": [{"delta": {"content": "'
    hollow: ClassVar[bytes] = b'{"id": "x", "object": "chat.completion", "choices": []}'

    @classmethod
    def serves(cls, path: str) -> bool:
        """The one path."""
        return path == "/v1/chat/completions"

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """It is its own words already."""
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise NotAsked("messages must be an array.")
        return Asked(body, bool(body.get("stream")), str(body.get("model")))

    def completion(self) -> dict[str, Any]:
        """A chat.completion."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.answer.tool is not None:
            function = {"name": self.answer.tool[0], "arguments": self.text}
            call = {"id": "call_simulated", "type": "function", "function": function}
            message |= {"content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.answer.finish_reason}
        head = {"id": self.id, "object": "chat.completion", "created": CREATED, "model": self.asked.model}
        usage = self._usage()
        return head | {"choices": [choice]} | ({} if usage is None else {"usage": usage})

    def begin(self) -> Iterator[bytes]:
        """A chunk that only names the role."""
        yield self._chunk({"choices": [_choice({"role": "assistant", "content": ""})]})

    def piece(self, place: int, text: str) -> bytes:
        """A delta; the first one of a call names it."""
        if self.answer.tool is None:
            return self._chunk({"choices": [_choice({"content": text})]})
        call: dict[str, Any] = {"index": 0, "function": {"arguments": text}}
        if place == 0:
            call |= {"id": "call_simulated", "type": "function"}
            call["function"]["name"] = self.answer.tool[0]
        return self._chunk({"choices": [_choice({"tool_calls": [call]})]})

    def end(self) -> Iterator[bytes]:
        """The finish reason, and the usage where it was asked for."""
        yield self._chunk({"choices": [_choice({}, finish_reason=self.answer.finish_reason)]})
        asks = self.asked.chat.get("stream_options") or {}
        if asks.get("include_usage") and (usage := self._usage()) is not None:
            yield self._chunk({"choices": [], "usage": usage})

    def failure(self) -> bytes:
        """An error in a chunk's place."""
        return self._chunk(self.plain_failure())

    def _usage(self) -> dict[str, Any] | None:
        if (counts := self.counts()) is None:
            return None
        usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)}
        cached = self.answer.cached_tokens
        return {**usage, "prompt_tokens_details": {"cached_tokens": cached}} if cached else usage

    def _chunk(self, data: Mapping[str, Any]) -> bytes:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": CREATED, "model": self.asked.model}
        return event({**head, **data})


def _choice(delta: Mapping[str, Any], *, finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
