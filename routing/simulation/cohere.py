"""Cohere's chat, as a simulated provider speaks it."""

from collections.abc import Iterator
from typing import Any, ClassVar

from routing.simulation.exchange import Asked, Exchange, Headers, NotAsked, event

ENDS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
OVERHEAD = 70  # tokens that it adds to a prompt, counts and does not bill


class CohereChat(Exchange):
    """POST /v2/chat."""

    base: ClassVar[str] = ""
    tail: ClassVar[bytes] = b"data: [DONE]\n\n"

    @classmethod
    def serves(cls, path: str) -> bool:
        """The one path."""
        return path == "/v2/chat"

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request, nearly in OpenAI's words."""
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise NotAsked("invalid request: messages must be an array")
        wanted = body.get("response_format")
        schema = {"type": "json_schema", "json_schema": {"schema": (wanted or {}).get("json_schema")}}
        choice = {"tool_choice": (body.get("tool_choice") or "auto").lower()}
        chat = {**body, **choice, "response_format": schema if wanted else None}
        return Asked(chat, bool(body.get("stream")), str(body.get("model")))

    def completion(self) -> dict[str, Any]:
        """A message, its end and its usage."""
        message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": self.text}]}
        if self.answer.tool is not None:
            message = {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [self._call(self.text)]}
        return {"id": self.id, "message": message, **self._ended()}

    def begin(self) -> Iterator[bytes]:
        """The message without content, and the start of what it holds."""
        yield self._event("message-start", id=self.id, delta={"message": {"role": "assistant", "content": []}})
        if self.answer.tool is None:
            yield self._event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
        else:
            yield self._event("tool-plan-delta", delta={"message": {"tool_plan": "I will look."}})
            yield self._event("tool-call-start", index=0, delta={"message": {"tool_calls": self._call("")}})

    def piece(self, place: int, text: str) -> bytes:
        """A delta."""
        if self.answer.tool is None:
            return self._event("content-delta", index=0, delta={"message": {"content": {"text": text}}})
        call = {"tool_calls": {"function": {"arguments": text}}}
        return self._event("tool-call-delta", index=0, delta={"message": call})

    def end(self) -> Iterator[bytes]:
        """The end of what it holds, and of the message."""
        yield self._event("content-end" if self.answer.tool is None else "tool-call-end", index=0)
        yield self._event("message-end", delta=self._ended())

    def failure(self) -> bytes:
        """An end that is a failure."""
        return self._event("message-end", delta={"finish_reason": "ERROR", "error": "Simulated failure."})

    def plain_failure(self) -> dict[str, Any]:
        """An end that is a failure."""
        return {"id": self.id, "message": {"role": "assistant"}, "finish_reason": "ERROR"}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """`{"id", "message"}`."""
        return [], {"id": "simulated", "message": why or f"Simulated refusal with status {status}."}

    def _call(self, arguments: str) -> dict[str, Any]:
        name = self.answer.tool[0] if self.answer.tool else ""
        return {"id": f"{name}_simulated", "type": "function", "function": {"name": name, "arguments": arguments}}

    def _ended(self) -> dict[str, Any]:
        ended = {"finish_reason": ENDS[self.answer.finish_reason]}
        if (counts := self.counts()) is None:
            return ended
        billed = {"input_tokens": counts[0], "output_tokens": counts[1]}
        return ended | {"usage": {"billed_units": billed, "tokens": {"input_tokens": counts[0] + OVERHEAD}}}

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields}, name=kind)
