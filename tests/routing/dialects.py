"""Every public dialect for the conformance matrix: what its callers send, and how they read what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from marketplace.lib import sse
from routing.adapters.registry import adapter_for
from routing.api.answering import Writer
from routing.canonical import ChatRequest, Chunk, ToolDelta, Usage
from routing.ingress import (
    anthropic_messages,
    anthropic_messages_answers,
    cohere,
    cohere_answers,
    gemini,
    gemini_answers,
    openai_chat,
    openai_chat_answers,
    openai_completions,
    openai_completions_answers,
    openai_responses,
    openai_responses_answers,
)

QUESTION = "Weather in Oslo, please?"
PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
RESULT = "four degrees"
ID, MODEL = "gen-1-x", "acme/small"

Read = Callable[[bytes], list[Chunk]]


@dataclass(frozen=True)
class Dialect:
    """A public dialect: `bodies` by scenario (text, image, tools, results), `plain` and `stream` read its answers."""

    name: str
    path: str
    parse: Callable[[bytes], ChatRequest]
    bodies: Mapping[str, Mapping[str, Any]]
    writer: Callable[[], Writer]
    plain: Read
    stream: Read
    has_tools: bool = True

    def __str__(self) -> str:
        return self.name

    def request(self, scenario: str) -> ChatRequest:
        return self.parse(json.dumps(self.bodies[scenario]).encode())


def _by_adapter(kind: str) -> tuple[Read, Read]:
    """Answers of a dialect that providers speak too are read as theirs are."""

    def plain(data: bytes) -> list[Chunk]:
        return [adapter_for(kind).parse_answer(data)]

    def stream(data: bytes) -> list[Chunk]:
        parser = adapter_for(kind).stream_parser()
        return [*parser.feed(data), *parser.finish()]

    return plain, stream


# -- OpenAI's chat

_TOOL = {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}
_CALL = {"id": "call_fx01", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
_ASK = {"role": "user", "content": QUESTION}
_CHAT: dict[str, dict[str, Any]] = {
    "text": {"messages": [_ASK]},
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": QUESTION},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            }
        ]
    },
    "tools": {"messages": [_ASK], "tools": [{"type": "function", "function": _TOOL}], "tool_choice": "auto"},
    "results": {
        "messages": [
            _ASK,
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_fx01", "content": RESULT},
        ],
        "tools": [{"type": "function", "function": _TOOL}],
    },
}
_chat_plain, _chat_stream = _by_adapter("openai_chat")
CHAT = Dialect(
    "chat",
    "/api/v1/chat/completions",
    openai_chat.parse,
    {name: body | {"model": MODEL} for name, body in _CHAT.items()},
    lambda: openai_chat_answers.Writer(ID, 1, MODEL, "Acme"),
    _chat_plain,
    _chat_stream,
)

# -- OpenAI's legacy completions


def _completion(data: Mapping[str, Any]) -> Chunk:
    choice = data["choices"][0] if data["choices"] else {}
    usage = data.get("usage")
    return Chunk(
        text=choice.get("text", ""),
        reasoning=choice.get("reasoning", ""),
        finish_reason=choice.get("finish_reason"),
        usage=Usage(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None,
    )


def _completion_stream(data: bytes) -> list[Chunk]:
    *events, end = [event.data for event in sse.Parser().feed(data)]
    assert end == "[DONE]"
    return [_completion(json.loads(event)) for event in events]


COMPLETIONS = Dialect(
    "completions",
    "/api/v1/completions",
    lambda body: openai_completions.parse(body).request,
    {"text": {"model": MODEL, "prompt": QUESTION}},
    lambda: openai_completions_answers.Writer(ID, 1, MODEL, "Acme"),
    lambda data: [_completion(json.loads(data))],
    _completion_stream,
    has_tools=False,
)

# -- OpenAI's Responses

_RESPONSE_TOOL = {"type": "function", **_TOOL}
_RESPONSES: dict[str, dict[str, Any]] = {
    "text": {"input": QUESTION},
    "image": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": QUESTION},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
                ],
            }
        ]
    },
    "tools": {"input": QUESTION, "tools": [_RESPONSE_TOOL], "tool_choice": "auto"},
    "results": {
        "input": [
            _ASK,
            {"type": "function_call", "call_id": "call_fx01", "name": "get_weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call_output", "call_id": "call_fx01", "output": RESULT},
        ],
        "tools": [_RESPONSE_TOOL],
    },
}


def _response(data: Mapping[str, Any]) -> Chunk:
    messages = [item for item in data["output"] if item["type"] == "message"]
    calls = [item for item in data["output"] if item["type"] == "function_call"]
    thoughts = [part for item in data["output"] if item["type"] == "reasoning" for part in item["content"]]
    parts = [part for message in messages for part in message["content"]]
    reason = (data["incomplete_details"] or {}).get("reason")
    ends: dict[str | None, Any] = {"max_output_tokens": "length", "content_filter": "content_filter"}
    return Chunk(
        text="".join(part.get("text", "") for part in parts),
        refusal="".join(part.get("refusal", "") for part in parts),
        reasoning="".join(part["text"] for part in thoughts),
        tool_calls=tuple(
            ToolDelta(place, call["call_id"], call["name"], call["arguments"]) for place, call in enumerate(calls)
        ),
        finish_reason=ends.get(reason, "tool_calls" if calls else "stop"),
        usage=Usage(data["usage"]["input_tokens"], data["usage"]["output_tokens"]),
    )


def _response_stream(data: bytes) -> list[Chunk]:
    """The last event has the whole; the pieces before it must say the same."""
    events = [json.loads(event.data) for event in sse.Parser().feed(data)]
    whole = _response(events[-1]["response"])
    told = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert told == whole.text
    return [whole]


RESPONSES = Dialect(
    "responses",
    "/api/v1/responses",
    lambda body: openai_responses.parse(body).request,
    {name: body | {"model": MODEL} for name, body in _RESPONSES.items()},
    lambda: openai_responses_answers.Writer(ID, 1, MODEL, "Acme"),
    lambda data: [_response(json.loads(data))],
    _response_stream,
)

# -- Anthropic's Messages

_BLOCK_TOOL = {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}
_MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"messages": [_ASK]},
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": QUESTION},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                ],
            }
        ]
    },
    "tools": {"messages": [_ASK], "tools": [_BLOCK_TOOL], "tool_choice": {"type": "auto"}},
    "results": {
        "messages": [
            _ASK,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_fx01", "name": "get_weather", "input": {"city": "Oslo"}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "call_fx01", "content": RESULT}],
            },
        ],
        "tools": [_BLOCK_TOOL],
    },
}
_messages_plain, _messages_stream = _by_adapter("anthropic")
MESSAGES = Dialect(
    "messages",
    "/api/v1/messages",
    anthropic_messages.parse,
    {name: body | {"model": MODEL, "max_tokens": 64} for name, body in _MESSAGES.items()},
    lambda: anthropic_messages_answers.Writer(ID, MODEL, "Acme"),
    _messages_plain,
    _messages_stream,
)

# -- Google's generateContent

_CONTENT = {"role": "user", "parts": [{"text": QUESTION}]}
_DECLARED = [{"functionDeclarations": [{**_BLOCK_TOOL, "parametersJsonSchema": SCHEMA}]}]
_GEMINI: dict[str, dict[str, Any]] = {
    "text": {"contents": [_CONTENT]},
    "image": {
        "contents": [
            {"role": "user", "parts": [{"text": QUESTION}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}
        ]
    },
    "tools": {
        "contents": [_CONTENT],
        "tools": _DECLARED,
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    },
    "results": {
        "contents": [
            _CONTENT,
            {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "get_weather", "response": {"result": RESULT}}}],
            },
        ],
        "tools": _DECLARED,
    },
}
_gemini_plain, _gemini_stream = _by_adapter("gemini")
GEMINI = Dialect(
    "gemini",
    "/api/v1beta/models/acme/small:generateContent",
    lambda body: gemini.parse(body, model=MODEL, stream=False),
    _GEMINI,
    lambda: gemini_answers.Writer(ID, MODEL, "Acme", show_thoughts=True),
    _gemini_plain,
    _gemini_stream,
)

# -- Cohere's chat

_cohere_plain, _cohere_stream = _by_adapter("cohere")
COHERE = Dialect(
    "cohere",
    "/api/v2/chat",
    cohere.parse,
    {
        name: {key: value for key, value in body.items() if key != "tool_choice"} | {"model": MODEL}  # it chooses
        for name, body in _CHAT.items()
    },
    lambda: cohere_answers.Writer(ID, MODEL, "Acme"),
    _cohere_plain,
    _cohere_stream,
)

DIALECTS = [CHAT, COMPLETIONS, RESPONSES, MESSAGES, GEMINI, COHERE]
