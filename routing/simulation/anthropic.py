"""Anthropic's Messages dialect, as a simulated provider speaks it."""

from collections.abc import Iterator
from typing import Any, ClassVar

from routing.simulation.exchange import Asked, Exchange, Headers, NotAsked, event

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
CHOICES = {"any": "required", "none": "none", "auto": "auto"}


class AnthropicMessages(Exchange):
    """POST /v1/messages."""

    base: ClassVar[str] = "/v1"

    @classmethod
    def serves(cls, path: str) -> bool:
        """The one path."""
        return path == "/v1/messages"

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request; max_tokens is compulsory."""
        if not isinstance(body, dict) or not isinstance(body.get("max_tokens"), int):
            raise NotAsked("max_tokens: Field required")
        turns = [_turn(turn) for turn in body["messages"]]
        chosen = body.get("tool_choice") or {}
        chat = {
            "messages": [{"role": "system", "content": body.get("system")}, *turns],
            "max_tokens": body["max_tokens"],
            "tools": [{"function": tool | {"parameters": tool["input_schema"]}} for tool in body.get("tools", [])],
            "tool_choice": {"function": {"name": chosen["name"]}} if "name" in chosen else CHOICES.get(
                chosen.get("type", "auto")
            ),
            "response_format": _format(body.get("output_config") or {}),
        }  # fmt: skip
        return Asked(chat, bool(body.get("stream")), str(body.get("model")))

    def completion(self) -> dict[str, Any]:
        """A message."""
        block: dict[str, Any] = {"type": "text", "text": self.text}
        if self.answer.tool is not None:
            block = self._tool_use(self.arguments())
        ended = {"stop_reason": STOPS[self.answer.finish_reason], "stop_sequence": None}
        return self._message() | {"content": [block], **ended} | self._usage()

    def begin(self) -> Iterator[bytes]:
        """The message without content, and the start of its block."""
        usage = self._usage().get("usage")
        started = {"usage": usage | {"output_tokens": 1}} if usage else {}
        empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        yield self._event("message_start", message=self._message() | empty | started)
        block = {"type": "text", "text": ""} if self.answer.tool is None else self._tool_use({})
        yield self._event("content_block_start", index=0, content_block=block)
        yield self._event("ping")

    def piece(self, place: int, text: str) -> bytes:
        """A delta of the block."""
        delta = {"type": "text_delta", "text": text}
        if self.answer.tool is not None:
            delta = {"type": "input_json_delta", "partial_json": text}
        return self._event("content_block_delta", index=0, delta=delta)

    def end(self) -> Iterator[bytes]:
        """The block's stop, the reason with the counts so far, the message's stop."""
        yield self._event("content_block_stop", index=0)
        usage = self._usage().get("usage")
        ended = {"delta": {"stop_reason": STOPS[self.answer.finish_reason], "stop_sequence": None}}
        counted = {"usage": {"output_tokens": usage["output_tokens"]}} if usage else {}
        yield self._event("message_delta", **ended, **counted)
        yield self._event("message_stop")

    def failure(self) -> bytes:
        """An error event."""
        return event(self.plain_failure(), name="error")

    def plain_failure(self) -> dict[str, Any]:
        """An error object."""
        return {"type": "error", "error": {"type": "api_error", "message": "Simulated failure."}}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """`{"type": "error", "error"}`."""
        error = {"type": TYPES.get(status, "api_error"), "message": why or f"Simulated refusal with status {status}."}
        return [], {"type": "error", "error": error, "request_id": "req_simulated"}

    def _message(self) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "role": "assistant", "model": self.asked.model}

    def _tool_use(self, given: Any) -> dict[str, Any]:
        name = self.answer.tool[0] if self.answer.tool else ""
        return {"type": "tool_use", "id": "toolu_simulated", "name": name, "input": given}

    def _usage(self) -> dict[str, Any]:
        if (counts := self.counts()) is None:
            return {}
        return {"usage": {"input_tokens": counts[0], "output_tokens": counts[1]}}

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields}, name=kind)


def _turn(turn: dict[str, Any]) -> dict[str, Any]:
    content = turn["content"]
    blocks = content if isinstance(content, list) else []
    is_result = any(block.get("type") == "tool_result" for block in blocks)
    return {"role": "tool" if is_result else turn["role"], "content": content}


def _format(config: dict[str, Any]) -> dict[str, Any] | None:
    wanted = config.get("format")
    return {"type": "json_schema", "json_schema": {"schema": wanted["schema"]}} if wanted else None
