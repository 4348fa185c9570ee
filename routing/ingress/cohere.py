"""Cohere's chat, version 2, as callers write it: read into the fields of OpenAI's chat, which say the same.

Unknown fields never break a request. What only Cohere's own servers can do (`citation_options`, `safety_mode`,
`priority`, and `logprobs`, which need its tokens' numbers) is left aside; `documents` become text, so that every
model can be asked about them. Answers: cohere_answers.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from routing.canonical import ChatRequest, Json
from routing.ingress import fields, openai_chat

CHOICES: Final = {"REQUIRED": "required", "NONE": "none"}
MAX_STOPS: Final = 16
MAX_DOCUMENTS: Final = 1_000
MAX_K: Final = 1_000_000
OWN: Final = frozenset(
    {
        "messages", "tools", "strict_tools", "tool_choice", "documents", "response_format", "thinking", "p", "k",
        "stop_sequences", "citation_options", "safety_mode", "priority", "logprobs",
    }
)  # fmt: skip


def parse(body: bytes) -> ChatRequest:
    """The request that the body asks for. Raises InvalidRequest (400) naming what to change."""
    data = openai_chat.read_object(body)
    said: dict[str, Json] = {
        "messages": _messages(data),
        "tools": _tools(data),
        "tool_choice": _tool_choice(data),
        "response_format": _response_format(data),
        "top_p": fields.number(data, "p", least=0, most=1),
        "top_k": fields.integer(data, "k", least=0, most=MAX_K),
        "stop": list(fields.texts(data, "stop_sequences", most=MAX_STOPS)) or None,
        "reasoning": _reasoning(data),
    }
    shared = {name: value for name, value in data.items() if name not in OWN}
    return openai_chat.read(
        shared | {name: value for name, value in said.items() if value is not None}, input_bytes=len(body)
    )


def _messages(data: Mapping[str, Json]) -> Json:
    messages = data.get("messages")
    if not isinstance(messages, list):
        return messages  # what is wrong with it is said where all messages are read
    read = [_message(message) for message in messages]
    documents = data.get("documents")
    return read if documents is None else _with_documents(read, documents)


def _message(message: Json) -> Json:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    if not isinstance(content, list):
        blocks, thoughts = content, ""
    else:
        blocks = [_block(block) for block in content if not _is(block, "thinking")]
        thoughts = "".join(_text(block, "thinking") for block in content if _is(block, "thinking"))
    reasoning = _text(message, "tool_plan") + thoughts
    return {**message, "content": blocks, **({"reasoning": reasoning} if reasoning else {})}


def _block(block: Json) -> Json:
    if not _is(block, "document"):
        return block
    return {"type": "text", "text": _document(block.get("document"), "document")}


def _is(block: Json, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def _text(block: Mapping[str, Json], name: str) -> str:
    value = block.get(name)
    return value if isinstance(value, str) else ""


def _with_documents(messages: list[Json], documents: Json) -> list[Json]:
    """The documents as text, ahead of the last question."""
    if not isinstance(documents, list) or len(documents) > MAX_DOCUMENTS:
        raise fields.wrong("documents", f"must be an array of at most {MAX_DOCUMENTS} documents")
    texts = [_document(document, f"documents[{place}]") for place, document in enumerate(documents)]
    asked = next((i for i in reversed(range(len(messages))) if _is_users(messages[i])), None)
    if asked is None:
        raise fields.wrong("documents", "need a message of the user that asks about them")
    question, content = messages[asked], messages[asked].get("content")
    words = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not texts or not isinstance(words, list):
        return messages
    head = {"type": "text", "text": "\n".join(["Documents:", *texts])}
    return [*messages[:asked], {**question, "content": [head, *words]}, *messages[asked + 1 :]]


def _is_users(message: Json) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _document(document: Json, where: str) -> str:
    """A document as models read it: its text, or all its fields as JSON with its id."""
    if isinstance(document, str):
        return document
    content = document.get("data") if isinstance(document, dict) else None
    if isinstance(content, str):
        return content
    if not isinstance(content, dict):
        raise fields.wrong(where, 'must be a string or {"id": …, "data": {…}}')
    name = document.get("id")
    return orjson.dumps({"id": name, **content} if isinstance(name, str) else content).decode()


def _tools(data: Mapping[str, Json]) -> Json:
    tools = data.get("tools")
    if not fields.flag(data, "strict_tools") or not isinstance(tools, list):
        return tools
    return [_strict(tool) for tool in tools]


def _strict(tool: Json) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    return {**tool, "function": {**function, "strict": True}} if isinstance(function, dict) else tool


def _tool_choice(data: Mapping[str, Json]) -> str | None:
    choice = data.get("tool_choice")
    if choice is None:
        return None
    if not isinstance(choice, str) or choice not in CHOICES:
        raise fields.wrong("tool_choice", 'must be "REQUIRED" or "NONE"; leave it out to let the model choose')
    return CHOICES[choice]


def _response_format(data: Mapping[str, Json]) -> Json:
    wanted = data.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_object" or wanted.get("json_schema") is None:
        return wanted
    schema = wanted["json_schema"]
    if not isinstance(schema, dict):
        raise fields.wrong("response_format.json_schema", "must be a JSON schema object")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _reasoning(data: Mapping[str, Json]) -> Json:
    thinking = data.get("thinking")
    if thinking is None:
        return data.get("reasoning")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("enabled", "disabled"):
        raise fields.wrong("thinking.type", 'must be "enabled" or "disabled"')
    budget = fields.integer(thinking, "token_budget", least=1, where="thinking.token_budget")
    return {"enabled": True, "max_tokens": budget} if kind == "enabled" else {"enabled": False}
