"""JSON Schemas of chat bodies for the OpenAPI document, made of the tables that the ingress itself reads by."""

from __future__ import annotations

from typing import Any, Final

from marketplace.api.described import Described
from routing.ingress import openai_chat

_PROVIDER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "order": {"type": "array", "items": {"type": "string"}},
        "only": {"type": "array", "items": {"type": "string"}},
        "ignore": {"type": "array", "items": {"type": "string"}},
        "allow_fallbacks": {"type": "boolean"},
        "require_parameters": {"type": "boolean"},
        "data_collection": {"enum": ["allow", "deny"]},
        "zdr": {"type": "boolean"},
        "quantizations": {"type": "array", "items": {"type": "string"}},
        "sort": {"enum": ["price", "throughput", "latency", "exacto"]},
        "max_price": {"type": "object"},
        "hedge": {
            "type": "boolean",
            "description": "Ask a second endpoint where the first takes unusually long to begin; streamed chats only.",
        },
    },
}
_PART: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": ["text", "image_url", "input_audio", "video_url", "file"]},
        "text": {"type": "string"},
    },
}
_MESSAGES: Final[dict[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]},
            "name": {"type": "string"},
            "tool_call_id": {"type": "string"},
        },
    },
}
_SHARED: Final[dict[str, Any]] = {
    "model": {"type": "string", "description": "publisher/model"},
    "models": {"type": "array", "items": {"type": "string"}, "description": "Fallbacks, in order."},
    "messages": _MESSAGES,
    "stream": {"type": "boolean"},
    "provider": _PROVIDER,
}
_SAMPLING: Final[dict[str, Any]] = {
    "session_id": {"type": "string", "maxLength": 256},
    **{
        name: {"type": "number", "minimum": least, "maximum": most}
        for name, (least, most) in openai_chat.NUMBERS.items()
    },
    **{
        name: {"type": "integer", "minimum": least, "maximum": most}
        for name, (least, most) in openai_chat.INTEGERS.items()
    },
    **{name: {"type": "boolean"} for name in sorted(openai_chat.FLAGS)},
    **{name: {} for name in sorted(openai_chat.CARRIED)},
}
_STOP: Final[dict[str, Any]] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 4}]
}
CHAT: Final = Described(
    body={
        "type": "object",
        "required": ["model", "messages"],
        "properties": _SHARED
        | {
            "max_tokens": {"type": "integer", "minimum": 1},
            "max_completion_tokens": {"type": "integer", "minimum": 1},
            "stop": _STOP,
            "tools": {"type": "array", "items": {"type": "object"}},
            "tool_choice": {},
            "response_format": {"type": "object"},
            "reasoning": {"type": "object"},
            "reasoning_effort": {"enum": sorted(openai_chat.EFFORTS)},
            **_SAMPLING,
        },
    },
    streams=True,
)
COMPLETION: Final = Described(
    body={
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {name: schema for name, schema in _SHARED.items() if name != "messages"}
        | _SAMPLING
        | {
            "prompt": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 1}],
                "minLength": 1,
                "minItems": 1,
            },
            "echo": {"type": "boolean"},
            "max_tokens": {"type": "integer", "minimum": 1},
            "stop": _STOP,
            "logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
        },
    },
    streams=True,
)
RESPONSE: Final = Described(
    body={
        "type": "object",
        "required": ["model", "input"],
        "properties": {name: schema for name, schema in _SHARED.items() if name != "messages"}
        | _SAMPLING
        | {
            "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
            "instructions": {"type": "string"},
            "max_output_tokens": {"type": "integer", "minimum": 1},
            "tools": {"type": "array", "items": {"type": "object"}},
            "tool_choice": {},
            "text": {"type": "object"},
            "reasoning": {"type": "object"},
            "include": {"type": "array", "items": {"type": "string"}},
            "store": {"const": False},
        },
    },
    streams=True,
)
MESSAGES: Final = Described(
    body={
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "properties": _SHARED
        | {
            "max_tokens": {"type": "integer", "minimum": 1},
            "system": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
            "stop_sequences": {"type": "array", "items": {"type": "string"}},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "tools": {"type": "array", "items": {"type": "object"}},
        },
    },
    streams=True,
)
COHERE_CHAT: Final = Described(
    body={
        "type": "object",
        "required": ["model", "messages"],
        "properties": _SHARED
        | {
            "max_tokens": {"type": "integer", "minimum": 1},
            "p": {"type": "number", "minimum": 0, "maximum": 1},
            "k": {"type": "integer", "minimum": 0},
            "stop_sequences": {"type": "array", "items": {"type": "string"}},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "tools": {"type": "array", "items": {"type": "object"}},
            "strict_tools": {"type": "boolean"},
            "tool_choice": {"enum": ["REQUIRED", "NONE"]},
            "documents": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
            "response_format": {"type": "object"},
            "thinking": {"type": "object"},
        },
    },
    streams=True,
)
GENERATION: Final = Described(
    body={
        "type": "object",
        "required": ["contents"],
        "properties": {
            "contents": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["parts"],
                    "properties": {
                        "role": {"enum": ["user", "model"]},
                        "parts": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                    },
                },
            },
            "systemInstruction": {"type": "object"},
            "generationConfig": {"type": "object"},
            "tools": {"type": "array", "items": {"type": "object"}},
            "toolConfig": {"type": "object"},
            "models": _SHARED["models"],
            "provider": _PROVIDER,
        },
    },
    query={"key": {"type": "string"}},
)
