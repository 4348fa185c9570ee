"""Gemini's dialect, as a simulated provider speaks it."""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from routing.simulation.exchange import Asked, Exchange, Headers, NotAsked

_PATH = re.compile(r"/v1beta/models/([^/:]+):(generateContent|streamGenerateContent)")
MODES = {"ANY": "required", "NONE": "none"}
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}  # fmt: skip


class Gemini(Exchange):
    """POST /v1beta/models/…:generateContent and :streamGenerateContent; events end in CR LF."""

    base: ClassVar[str] = "/v1beta"
    half: ClassVar[bytes] = b'data: {"candidates": [{"content": {"parts": [{"text": "half of\r\n\r\n'
    endless: ClassVar[bytes] = b'data: {"candidates": [{"content": {"parts": [{"text": "'

    @classmethod
    def serves(cls, path: str) -> bool:
        """The model and the method are in the path."""
        return _PATH.fullmatch(path) is not None

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request; whether it streams is told by the path."""
        found = _PATH.fullmatch(path)
        if found is None or not isinstance(body, dict) or not isinstance(body.get("contents"), list):
            raise NotAsked("contents is not specified")
        config = body.get("generationConfig") or {}
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        named = calling.get("allowedFunctionNames")
        system = body.get("systemInstruction") or {"parts": []}
        tools = [one for tool in body.get("tools", []) for one in tool["functionDeclarations"]]
        wants_json = config.get("responseMimeType") == "application/json"
        wanted = {"type": "json_schema", "json_schema": {"schema": config.get("responseJsonSchema") or {}}}
        chat = {
            "messages": [{"role": "system", "content": system["parts"]}, *map(_turn, body["contents"])],
            "max_tokens": config.get("maxOutputTokens"),
            "tools": [{"function": {"name": t["name"], "parameters": t.get("parametersJsonSchema")}} for t in tools],
            "tool_choice": {"function": {"name": named[0]}} if named else MODES.get(calling.get("mode", "AUTO")),
            "response_format": wanted if wants_json else None,
        }
        return Asked(chat, found[2] == "streamGenerateContent", found[1])

    def completion(self) -> dict[str, Any]:
        """One candidate."""
        part: dict[str, Any] = {"text": self.text}
        if self.answer.tool is not None:
            part = {"functionCall": {"name": self.answer.tool[0], "args": self.arguments()}}
        return self._piece([part], ended=True)

    def piece(self, place: int, text: str) -> bytes:
        """Words as they come; a call in one piece, at its end."""
        if self.answer.tool is None:
            return _event(self._piece([{"text": text}]))
        if place < len(self.answer.pieces) - 1:
            return b": thinking\r\n\r\n"
        return _event(self._piece([{"functionCall": {"name": self.answer.tool[0], "args": self.arguments()}}]))

    def end(self) -> Iterator[bytes]:
        """The finish reason and the counts, in a piece without words."""
        yield _event(self._piece([{"text": ""}], ended=True))

    def failure(self) -> bytes:
        """An error in a piece's place."""
        return _event(self.plain_failure())

    def plain_failure(self) -> dict[str, Any]:
        """An error object."""
        return {"error": {"code": 500, "message": "Simulated failure.", "status": "INTERNAL"}}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """`{"error": {"code", "message", "status"}}`."""
        said = why or f"Simulated refusal with status {status}."
        return [], {"error": {"code": status, "message": said, "status": STATUSES.get(status, "INTERNAL")}}

    def _piece(self, parts: list[dict[str, Any]], *, ended: bool = False) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if ended:
            candidate["finishReason"] = "MAX_TOKENS" if self.answer.finish_reason == "length" else "STOP"
        counts = self.counts()
        usage = {}
        if ended and counts is not None:
            named = {"promptTokenCount": counts[0], "candidatesTokenCount": counts[1], "totalTokenCount": sum(counts)}
            usage = {"usageMetadata": named}
        return {"candidates": [candidate], "modelVersion": self.asked.model, "responseId": self.id, **usage}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


def _turn(content: dict[str, Any]) -> dict[str, Any]:
    is_result = any("functionResponse" in part for part in content["parts"])
    return {"role": "tool" if is_result else content.get("role", "user"), "content": content["parts"]}
