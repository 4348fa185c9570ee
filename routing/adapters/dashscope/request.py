"""A canonical request written for DashScope: messages in `input`, everything else in `parameters`."""

import re
from collections.abc import Iterable
from typing import Final

from routing.adapters import effort, media
from routing.adapters.openai_alikes import QWEN_COMPATIBLE
from routing.adapters.openai_messages import write_tool
from routing.canonical import (
    Audio,
    ChatRequest,
    File,
    Image,
    Json,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Video,
)

TEXT: Final = "/services/aigc/text-generation/generation"
MULTIMODAL: Final = "/services/aigc/multimodal-generation/generation"
# Models that are served at the second path only, even for words alone.
_SEES: Final = re.compile(r"-vl|qvq|-omni|-audio|-ocr|-asr")
SENT: Final = (
    "temperature", "top_p", "top_k", "seed", "stop", "presence_penalty", "repetition_penalty", "logprobs",
    "top_logprobs", "parallel_tool_calls",
)  # fmt: skip

Block = dict[str, Json]


def path_of(request: ChatRequest, *, upstream: str) -> str:
    """Where the request goes: words and media have a path each."""
    return MULTIMODAL if _is_multimodal(request, upstream) else TEXT


def write_request(request: ChatRequest, *, upstream: str, stream: bool, max_tokens: int | None) -> Block:
    """The body. Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry."""
    in_parts = _is_multimodal(request, upstream)
    messages = [_message(message, in_parts=in_parts) for message in request.messages]
    parameters: Block = {"result_format": "message"}
    if stream:
        parameters["incremental_output"] = True  # without it each event repeats the whole text
    parameters |= {name: request.parameters[name] for name in SENT if name in request.parameters}
    if max_tokens is not None:
        parameters["max_tokens"] = max_tokens
    if request.response_format is not None:
        parameters["response_format"] = request.response_format
    if request.tools:
        parameters["tools"] = [write_tool(tool, QWEN_COMPATIBLE.dialect) for tool in request.tools]
        if request.tool_choice is not None:
            # It knows no "required"; left to itself it calls where that is called for.
            parameters["tool_choice"] = "auto" if request.tool_choice == "required" else request.tool_choice
    else:
        parameters.pop("parallel_tool_calls", None)
    if (wish := request.reasoning) is not None:
        if effort.is_off(wish):
            parameters["enable_thinking"] = False
        elif effort.is_wanted(wish):
            parameters["enable_thinking"] = True
            if max_tokens is not None and (budget := effort.budget_of(wish, cap=max_tokens)) is not None:
                parameters["thinking_budget"] = budget
    return {"model": upstream, "input": {"messages": messages}, "parameters": parameters}


def _is_multimodal(request: ChatRequest, upstream: str) -> bool:
    parts = (part for message in request.messages for part in message.parts)
    return bool(_SEES.search(upstream.lower())) or any(isinstance(part, Image | Audio | Video) for part in parts)


def _message(message: Message, *, in_parts: bool) -> Block:
    result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
    if result is not None:
        return {"role": "tool", "tool_call_id": result.call_id, "content": _content(result.parts, in_parts=in_parts)}
    words = [part for part in message.parts if not isinstance(part, ToolCall | Reasoning)]
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    role = "system" if message.role == "developer" else message.role
    written: Block = {"role": role, "content": _content(words, in_parts=in_parts)}
    return written | {"tool_calls": calls} if calls else written


def _content(parts: Iterable[Part], *, in_parts: bool) -> Json:
    blocks = [_block(part) for part in parts]
    return blocks if in_parts else "".join(block["text"] for block in blocks)


def _block(part: Part) -> Block:
    match part:
        case Text(text) | Refusal(text):
            return {"text": text}
        case Image(url):
            return {"image": url}
        case Audio(data, form, url):
            return {"audio": url or f"data:audio/{form or 'wav'};base64,{data}"}
        case Video(url, frames, extra):
            return {"video": list(frames) or url, **({"fps": extra["fps"]} if "fps" in extra else {})}
        case File():
            raise media.unfit("This provider takes no files; send the text or images of its pages.")
    raise media.unfit(f"This provider takes no {type(part).__name__.lower()} input.")
