"""What a simulated provider says: text made up from the prompt, calls of the tools it is given. Pure and repeatable."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WORDS: Final = tuple(
    "simulated answer words follow here so that streams have something to carry while nothing is really thought "  # noqa: SIM905
    "about every token is drawn from a short list and depends on the prompt alone which makes it repeatable".split()
)
BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in pieces, one token each; `tool` is (name, arguments) when a tool is called instead."""

    pieces: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    tool: tuple[str, str] | None = None
    cached_tokens: int = 0  # of the prompt

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer: its pieces."""
        return len(self.pieces)


def answer(body: Mapping[str, Any], *, name: str, length: int) -> Answer:
    """The answer to a request body; about `length` tokens unless the request caps it lower."""
    messages = [message for message in body.get("messages", []) if isinstance(message, dict)]
    text = prompt_of(body)
    digest = hashlib.sha256(text.encode()).digest()
    prompt_tokens = max(1, len(text.encode()) // BYTES_PER_TOKEN)
    cap = body.get("max_completion_tokens") or body.get("max_tokens") or length
    if (tool := _tool(body, messages)) is not None:
        called, arguments = tool
        pieces = _cut(arguments)[:cap]
        return Answer(
            pieces, "tool_calls" if len(pieces) * 8 >= len(arguments) else "length", prompt_tokens, (called, arguments)
        )
    said = _structured(body) or _words(name, text, digest, length)
    return Answer(tuple(said[:cap]), "length" if cap < len(said) else "stop", prompt_tokens)


def prompt_of(body: Mapping[str, Any]) -> str:
    """All words of a request's messages."""
    return "\n".join(_text(one.get("content")) for one in body.get("messages", []) if isinstance(one, dict))


def _words(name: str, text: str, digest: bytes, length: int) -> list[str]:
    topic = " ".join(text.split()[-6:])[:60]
    head = f"[{name}, simulated] You said: {topic} ."
    words = [f"{word} " for word in head.split()]
    while len(words) < length:
        words.append(WORDS[(digest[len(words) % 32] + len(words)) % len(WORDS)] + " ")
    words = words[:length]
    words[-1] = words[-1].rstrip()
    return words


def _structured(body: Mapping[str, Any]) -> list[str] | None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") not in {"json_object", "json_schema"}:
        return None
    schema = (wanted.get("json_schema") or {}).get("schema") or {}
    value = example(schema) if schema else {"simulated": True}
    return list(_cut(json.dumps(value)))


def _tool(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    tools = [tool["function"] for tool in body.get("tools") or [] if isinstance(tool.get("function"), dict)]
    choice = body.get("tool_choice")
    if not tools or choice == "none" or (messages and messages[-1].get("role") == "tool"):
        return None
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    tool = next((tool for tool in tools if tool["name"] == named), tools[0])
    return tool["name"], json.dumps(example(tool.get("parameters") or {}))


def example(schema: Mapping[str, Any]) -> Any:
    """A value that fits a JSON schema of the usual kind."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return "simulated"
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return [example(schema.get("items") or {})]
    return {name: example(inner) for name, inner in (schema.get("properties") or {}).items()}


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[i : i + 8] for i in range(0, len(text), 8)) or ("",)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text") or part.get("type")) for part in content if isinstance(part, dict))
    return ""
