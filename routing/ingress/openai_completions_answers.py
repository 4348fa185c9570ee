"""Canonical chunks written as OpenAI's text_completion, whole or in pieces, with our id, model, provider and cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from marketplace.lib import sse
from routing.canonical import Chunk, Json
from routing.ingress.openai_chat_answers import KEEP_ALIVE, Bill, told_of, usage_of


@dataclass(slots=True)
class Writer:
    """Writes one generation's answer, which begins with `echoed`."""

    id: str
    created: int
    model: str
    provider: str = ""
    echoed: str = ""
    exclude_reasoning: bool = False
    told: Mapping[str, Json] = field(default_factory=dict)  # of the routing, where the caller asks for it
    _offset: int = 0  # of the next token in the text

    def answer(self, chunk: Chunk, bill: Bill) -> bytes:
        """The whole of a plain answer."""
        rest = {"choices": [self._choice(chunk)], "usage": usage_of(bill)}
        return orjson.dumps(self._head() | rest | told_of(self.told))

    def chunk(self, chunk: Chunk) -> bytes:
        """One event of a stream; empty where the chunk holds nothing for the caller."""
        choice = self._choice(chunk)
        if not (choice["text"] or choice.get("reasoning") or choice["finish_reason"] or choice["logprobs"]):
            return b""
        return self._event({"choices": [choice]})

    def waiting(self) -> bytes:
        """A comment that keeps a silent stream open."""
        return KEEP_ALIVE

    def last(self, bill: Bill) -> bytes:
        """The end of a clean stream: the usage, once, in an event without choices, and the mark of the end."""
        return self._event({"choices": [], "usage": usage_of(bill), **told_of(self.told)}) + sse.DONE

    def broken(self, *, code: int, message: str, metadata: Mapping[str, Json], bill: Bill) -> bytes:
        """The end of a stream that broke: one error event with the usage so far and no mark of a clean end."""
        choice = {"index": 0, "text": "", "finish_reason": "error", "native_finish_reason": None, "logprobs": None}
        error = {"code": code, "message": message, "metadata": dict(metadata)}
        return self._event({"choices": [choice], "error": error, "usage": usage_of(bill), **told_of(self.told)})

    def _head(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "system_fingerprint": None,
        }

    def _event(self, data: dict[str, Json]) -> bytes:
        return sse.event(orjson.dumps(self._head() | data))

    def _choice(self, chunk: Chunk) -> dict[str, Json]:
        text = self.echoed + chunk.text + chunk.refusal
        self._offset += len(self.echoed)
        self.echoed = ""
        choice: dict[str, Json] = {
            "index": 0,
            "text": text,
            "finish_reason": chunk.finish_reason,
            "native_finish_reason": chunk.native_finish_reason,
            "logprobs": self._logprobs(chunk.logprobs),
        }
        if chunk.reasoning and not self.exclude_reasoning:
            choice["reasoning"] = chunk.reasoning
        return choice

    def _logprobs(self, logprobs: Json) -> Json:
        """This dialect's columns, from the chat dialect's list of tokens."""
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        tokens = [token for token in content if isinstance(token, dict)] if isinstance(content, list) else []
        if not tokens:
            return None
        words = [str(token.get("token", "")) for token in tokens]
        offsets = []
        for word in words:
            offsets.append(self._offset)
            self._offset += len(word)
        return {
            "tokens": words,
            "token_logprobs": [token.get("logprob") for token in tokens],
            "top_logprobs": [
                {str(other.get("token")): other.get("logprob") for other in token.get("top_logprobs") or []}
                for token in tokens
            ],
            "text_offset": offsets,
        }
