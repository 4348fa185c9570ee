"""AWS Bedrock's Converse, as a simulated provider speaks it: streams are binary frames."""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import unquote

from routing.simulation.exchange import Asked, Exchange, Headers, NotAsked
from routing.simulation.frames import frame

_PATH = re.compile(r"/model/([^/]+)/converse(-stream)?")
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
KINDS = {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
         404: "ResourceNotFoundException", 429: "ThrottlingException", 500: "InternalServerException",
         503: "ServiceUnavailableException"}  # fmt: skip


class BedrockConverse(Exchange):
    """POST /model/…/converse and /converse-stream."""

    base: ClassVar[str] = ""
    stream_headers: ClassVar[Headers] = [(b"content-type", b"application/vnd.amazon.eventstream")]
    half: ClassVar[bytes] = frame("messageStart", {"role": "assistant"})[:-4] + b"\0\0\0\0"
    endless: ClassVar[bytes] = frame("contentBlockDelta", {"delta": {"text": "x" * 12_000_000}})[:4096]

    @classmethod
    def serves(cls, path: str) -> bool:
        """The model is in the path."""
        return _PATH.fullmatch(path) is not None

    @classmethod
    def read(cls, path: str, body: Any) -> Asked:
        """A request; whether it streams is told by the path."""
        found = _PATH.fullmatch(path)
        if found is None or not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise NotAsked("messages: must not be null")
        config = body.get("toolConfig") or {}
        specs = [tool["toolSpec"] for tool in config.get("tools", [])]
        choice = config.get("toolChoice") or {}
        wanted = (body.get("outputConfig") or {}).get("textFormat")
        schema = json.loads(wanted["structure"]["jsonSchema"]["schema"]) if wanted else None
        chat = {
            "messages": [{"role": "system", "content": body.get("system")}, *map(_turn, body["messages"])],
            "max_tokens": (body.get("inferenceConfig") or {}).get("maxTokens"),
            "tools": [{"function": {"name": s["name"], "parameters": s["inputSchema"]["json"]}} for s in specs],
            "tool_choice": {"function": choice["tool"]} if "tool" in choice else None,
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}} if schema else None,
        }
        return Asked(chat, found[2] is not None, unquote(found[1]))

    def completion(self) -> dict[str, Any]:
        """A message with its stop reason and its usage."""
        block: dict[str, Any] = {"text": self.text}
        if self.answer.tool is not None:
            use = {"toolUseId": "tooluse_simulated", "name": self.answer.tool[0], "input": self.arguments()}
            block = {"toolUse": use}
        message = {"role": "assistant", "content": [block]}
        return {"output": {"message": message}, "stopReason": STOPS[self.answer.finish_reason], **self._metadata()}

    def begin(self) -> Iterator[bytes]:
        """The message; a block is begun only where it is a tool's."""
        yield frame("messageStart", {"role": "assistant"})
        if self.answer.tool is not None:
            use = {"toolUseId": "tooluse_simulated", "name": self.answer.tool[0]}
            yield frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": use}})

    def piece(self, place: int, text: str) -> bytes:
        """A delta."""
        delta = {"text": text} if self.answer.tool is None else {"toolUse": {"input": text}}
        return frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})

    def end(self) -> Iterator[bytes]:
        """The stops, and the usage after them."""
        yield frame("contentBlockStop", {"contentBlockIndex": 0})
        yield frame("messageStop", {"stopReason": STOPS[self.answer.finish_reason]})
        yield frame("metadata", self._metadata())

    def failure(self) -> bytes:
        """An exception in a frame's place."""
        return frame("internalServerException", {"message": "Simulated failure."}, kind="exception")

    def plain_failure(self) -> dict[str, Any]:
        """A model that wrote nonsense."""
        return {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "malformed_model_output"}

    @classmethod
    def refusal(cls, status: int, why: str = "") -> tuple[Headers, dict[str, Any]]:
        """`{"message"}`, with the kind in a header."""
        kind = KINDS.get(status, "InternalServerException")
        return [(b"x-amzn-errortype", kind.encode())], {"message": why or f"Simulated refusal with status {status}."}

    def _metadata(self) -> dict[str, Any]:
        metrics = {"metrics": {"latencyMs": 1}}
        if (counts := self.counts()) is None:
            return metrics
        usage = {"inputTokens": counts[0], "outputTokens": counts[1], "totalTokens": sum(counts)}
        return {"usage": usage, **metrics}


def _turn(message: dict[str, Any]) -> dict[str, Any]:
    is_result = any("toolResult" in block for block in message["content"])
    return {"role": "tool" if is_result else message["role"], "content": message["content"]}
