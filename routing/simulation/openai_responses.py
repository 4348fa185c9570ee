"""OpenAI's Responses, as a simulated provider speaks it."""

from collections.abc import Iterator
from typing import Any, ClassVar

from routing.simulation.exchange import CREATED, Asked, Exchange, NotAsked, event


class OpenAIResponses(Exchange):
    """POST /v1/responses, with named and numbered events."""

    base: ClassVar[str] = "/v1"

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._number = -1

    @classmethod
    def serves(cls, path: str) -> bool:
        """The one path."""
        return path == "/v1/responses"

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request; the input is a text or a list of items."""
        if not isinstance(body, dict) or not isinstance(body.get("input"), str | list):
            raise NotAsked("Missing required parameter: 'input'.")
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        choice = body.get("tool_choice")
        wanted = (body.get("text") or {}).get("format")
        chat = {
            "messages": [{"role": "system", "content": body.get("instructions")}, *map(_turn, items)],
            "max_tokens": body.get("max_output_tokens"),
            "tools": [{"function": tool} for tool in body.get("tools", [])],
            "tool_choice": {"function": {"name": choice["name"]}} if isinstance(choice, dict) else choice,
            "response_format": {"type": wanted["type"], "json_schema": wanted} if wanted else None,
        }
        return Asked(chat, bool(body.get("stream")), str(body.get("model")))

    def completion(self) -> dict[str, Any]:
        """A response."""
        ended: dict[str, Any] = {"status": "completed", "incomplete_details": None}
        if self.answer.finish_reason == "length":
            ended = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        usage = {}
        if (counts := self.counts()) is not None:
            tokens = {"input_tokens": counts[0], "output_tokens": counts[1], "total_tokens": sum(counts)}
            usage = {"usage": tokens}
        return self._response() | ended | {"output": [self._item(self.text)]} | usage

    def begin(self) -> Iterator[bytes]:
        """The response without output, and the start of its one item."""
        yield self._event("response.created", response=self._response() | {"status": "in_progress", "output": []})
        item = self._item("")
        if self.answer.tool is None:
            item["content"] = []
        yield self._event("response.output_item.added", output_index=0, item=item)

    def piece(self, place: int, text: str) -> bytes:
        """A delta of the item."""
        kind = "output_text" if self.answer.tool is None else "function_call_arguments"
        return self._event(f"response.{kind}.delta", output_index=0, item_id="item_simulated", delta=text)

    def end(self) -> Iterator[bytes]:
        """The whole item, and the whole response."""
        yield self._event("response.output_item.done", output_index=0, item=self._item(self.text))
        whole = self.completion()
        yield self._event(f"response.{whole['status']}", response=whole)

    def failure(self) -> bytes:
        """A response that failed."""
        return self._event("response.failed", response=self.plain_failure())

    def plain_failure(self) -> dict[str, Any]:
        """A response that failed."""
        error = {"code": "server_error", "message": "Simulated failure."}
        return self._response() | {"status": "failed", "output": [], "error": error}

    def _response(self) -> dict[str, Any]:
        return {
            "id": self.id, "object": "response", "created_at": CREATED, "model": self.asked.model, "error": None,
        }  # fmt: skip

    def _item(self, text: str) -> dict[str, Any]:
        if self.answer.tool is not None:
            call = {"type": "function_call", "id": "item_simulated", "call_id": "call_simulated"}
            return call | {"name": self.answer.tool[0], "arguments": text, "status": "completed"}
        content = [{"type": "output_text", "text": text, "annotations": []}]
        return {"type": "message", "id": "item_simulated", "role": "assistant", "content": content}

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": kind, **fields, "sequence_number": self._number}, name=kind)


def _turn(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": item["output"]}
    return {"role": item.get("role", "assistant"), "content": item.get("content")}
