"""OpenAI's legacy text completions as callers write them: one prompt, read as what the user says.

The other fields are those of the chat dialect. Answers: openai_completions_answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from routing.canonical import ChatRequest, Json
from routing.ingress import fields, openai_chat

# Of this dialect alone, or with another meaning here than in the chat dialect.
OWN: Final = frozenset({"prompt", "suffix", "echo", "logprobs", "top_logprobs", "messages", "tools", "tool_choice"})
MAX_LOGPROBS: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """The request, and the text to begin the answer with: the prompt where it is to be echoed."""

    request: ChatRequest
    echoed: str = ""


def parse(body: bytes) -> Asked:
    """The request that the body asks for. Raises InvalidRequest (400) naming what to change."""
    data = openai_chat.read_object(body)
    prompt = _prompt(data.get("prompt"))
    if fields.text(data, "suffix", most=2**24):
        raise fields.wrong("suffix", "cannot be given: models are asked to go on, not to fill in")
    chat = {name: value for name, value in data.items() if name not in OWN}
    chat["messages"] = [{"role": "user", "content": prompt}]
    if (count := _logprobs(data)) is not None:
        chat |= {"logprobs": True, "top_logprobs": count}
    request = openai_chat.read(chat, input_bytes=len(body))
    return Asked(request, prompt if fields.flag(data, "echo") else "")


def _prompt(prompt: Json) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise fields.wrong("prompt", "must be a non-empty string, or an array of one; send each prompt by itself")
    return prompt


def _logprobs(data: Mapping[str, Json]) -> int | None:
    if isinstance(data.get("logprobs"), bool):  # as chat writes it
        return 0 if data["logprobs"] else None
    return fields.integer(data, "logprobs", least=0, most=MAX_LOGPROBS)
