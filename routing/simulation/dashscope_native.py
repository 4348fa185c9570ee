"""DashScope's own dialect, as a simulated provider speaks it."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from routing.simulation.exchange import Asked, Exchange, Headers, NotAsked

PREFIX = "/api/v1/services/aigc/"
CODES = {400: "InvalidParameter", 401: "InvalidApiKey", 403: "AccessDenied", 404: "ModelNotFound", 429: "Throttling"}


class DashScope(Exchange):
    """POST …/text-generation/generation and …/multimodal-generation/generation."""

    base: ClassVar[str] = "/api/v1"
    endless: ClassVar[bytes] = b'data:{"output": {"choices": [{"message": {"content": "'

    @classmethod
    def serves(cls, path: str) -> bool:
        """Words and media have a path each."""
        return path in {f"{PREFIX}{kind}-generation/generation" for kind in ("text", "multimodal")}

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request; that it streams is told by `incremental_output` (its header is told nobody here)."""
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            raise NotAsked("Required parameter input is missing.")
        parameters = body.get("parameters") or {}
        chat = {**parameters, "messages": body["input"]["messages"]}
        return Asked(chat, bool(parameters.get("incremental_output")), str(body.get("model")))

    def completion(self) -> dict[str, Any]:
        """One choice."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.answer.tool is not None:
            message = {"role": "assistant", "content": "", "tool_calls": [self._call(0, self.text)]}
        return self._piece(message, self.answer.finish_reason)

    def piece(self, place: int, text: str) -> bytes:
        """A piece of the choice; why it ends is the word "null" until it does."""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self.answer.tool is not None:
            message = {"role": "assistant", "content": "", "tool_calls": [self._call(place, text)]}
        return self._event(self._piece(message, "null"))

    def end(self) -> Iterator[bytes]:
        """A piece without words that tells why."""
        yield self._event(self._piece({"role": "assistant", "content": ""}, self.answer.finish_reason))

    def failure(self) -> bytes:
        """An error event; its status is told in a comment."""
        return self._event(self.plain_failure(), kind="error", status=500)

    def plain_failure(self) -> dict[str, Any]:
        """`{"code", "message"}`."""
        return {"code": "InternalError", "message": "Simulated failure.", "request_id": self.id}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """`{"code", "message", "request_id"}`."""
        said = why or f"Simulated refusal with status {status}."
        return [], {"code": CODES.get(status, "InternalError"), "message": said, "request_id": "simulated"}

    def _piece(self, message: dict[str, Any], ended: str) -> dict[str, Any]:
        usage = {}
        if (counts := self.counts()) is not None:
            usage = {"usage": {"input_tokens": counts[0], "output_tokens": counts[1], "total_tokens": sum(counts)}}
        choices = [{"message": message, "finish_reason": ended}]
        return {"output": {"choices": choices}, **usage, "request_id": self.id}

    def _call(self, place: int, arguments: str) -> dict[str, Any]:
        name = self.answer.tool[0] if self.answer.tool and place == 0 else ""
        call_id = "call_simulated" if place == 0 else ""
        return {"index": 0, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _event(self, data: dict[str, Any], *, kind: str = "result", status: int = 200) -> bytes:
        return f"id:{self.sent + 1}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{json.dumps(data)}\n\n".encode()
