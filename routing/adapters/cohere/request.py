"""A canonical request written as POST /v2/chat."""

from collections.abc import Iterable
from typing import Final

from routing.adapters import effort, media
from routing.canonical import (
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
    ToolSpec,
)

RENAMED: Final = {
    "temperature": "temperature", "top_p": "p", "top_k": "k", "seed": "seed", "stop": "stop_sequences",
    "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
}  # fmt: skip
CHOICES: Final = {"required": "REQUIRED", "none": "NONE"}  # "auto" is its default and has no word
MOST_STOPS: Final = 5
MOST_TOP_K: Final = 500
UNCAPPED: Final = 8_192  # the answer's size that an effort is a share of, where no cap was said

Block = dict[str, Json]


def write_request(request: ChatRequest, *, upstream: str, stream: bool, max_tokens: int | None) -> Block:
    """The body. Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry."""
    documents: list[Block] = []
    messages = [_message(message, documents) for message in request.messages]
    body: Block = {"model": upstream, "messages": messages}
    if documents:
        body["documents"] = documents
    body |= _tools(request) | _parameters(request, max_tokens) | _format(request)
    body |= _thinking(request, upstream, cap=max_tokens or UNCAPPED)
    if stream:
        body["stream"] = True
    return body


def _message(message: Message, documents: list[Block]) -> Block:
    result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
    if result is not None:
        return {"role": "tool", "tool_call_id": result.call_id, "content": _content(result.parts, documents)}
    role = "system" if message.role == "developer" else message.role
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    words = [part for part in message.parts if not isinstance(part, ToolCall | Reasoning)]
    written: Block = {"role": role}
    if calls:
        written["tool_calls"] = calls
        # What it said before it called is its plan, and has a place of its own.
        if plan := "".join(part.text for part in message.parts if isinstance(part, Reasoning)):
            written["tool_plan"] = plan
    if words or not calls:
        written["content"] = _content(words, documents)
    return written


def _call(call: ToolCall) -> Block:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def _content(parts: Iterable[Part], documents: list[Block]) -> Json:
    blocks: list[Block] = []
    for part in parts:
        match part:
            case Text(text) | Refusal(text):
                blocks.append({"type": "text", "text": text})
            case Image(url, extra):
                detail = {"detail": extra["detail"]} if "detail" in extra else {}
                blocks.append({"type": "image_url", "image_url": {"url": url, **detail}})
            case File():
                documents.append(_document(part, len(documents)))
            case _:
                raise media.unfit(f"This provider takes no {type(part).__name__.lower()} input.")
    if all(block["type"] == "text" for block in blocks) and len(blocks) <= 1:
        return blocks[0]["text"] if blocks else ""
    return blocks


def _document(part: File, place: int) -> Block:
    """A text file as one of the documents that the answer may draw on: they stand beside the messages."""
    if part.data is None:
        raise media.unfit("Files by address or id cannot be sent to this provider; send the text itself.")
    fallback = media.type_of(part.filename or "", fallback="application/pdf")
    is_url = media.is_data_url(part.data)
    inline = media.read_data_url(part.data, fallback=fallback) if is_url else media.Inline(fallback, part.data)
    if not inline.media_type.startswith(("text/", "application/json")) or not media.is_base64(inline.data):
        raise media.unfit("This provider takes documents as text only.")
    data: Block = {"text": inline.decoded()}
    if part.filename:
        data["title"] = part.filename
    return {"id": f"doc-{place}", "data": data}


def _tools(request: ChatRequest) -> Block:
    if not request.tools:
        return {}
    choice, tools = request.tool_choice, request.tools
    written: Block = {}
    if isinstance(choice, dict):  # one tool cannot be named: it is the only one offered, and must be called
        tools = tuple(tool for tool in tools if tool.name == choice["function"]["name"]) or tools
        written["tool_choice"] = "REQUIRED"
    elif choice in CHOICES:
        written["tool_choice"] = CHOICES[choice]
    if any(tool.strict for tool in tools):
        written["strict_tools"] = True
    return {"tools": [_tool(tool) for tool in tools], **written}


def _tool(tool: ToolSpec) -> Block:
    function: Block = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _parameters(request: ChatRequest, max_tokens: int | None) -> Block:
    asked = request.parameters
    written: Block = {theirs: asked[ours] for ours, theirs in RENAMED.items() if ours in asked}
    if max_tokens is not None:
        written["max_tokens"] = max_tokens
    if "temperature" in written:
        written["temperature"] = min(written["temperature"], 1)  # elsewhere it goes up to 2
    if "k" in written:
        written["k"] = min(written["k"], MOST_TOP_K)
    for name in ("frequency_penalty", "presence_penalty"):
        if name in written:
            written[name] = min(max(written[name], 0), 1)
    if written.get("stop_sequences"):
        written["stop_sequences"] = written["stop_sequences"][:MOST_STOPS]
    return written


def _format(request: ChatRequest) -> Block:
    wanted = request.response_format
    if wanted is None or wanted["type"] not in {"json_object", "json_schema"}:
        return {}
    schema = wanted["json_schema"].get("schema") if wanted["type"] == "json_schema" else None
    return {"response_format": {"type": "json_object", **({"json_schema": schema} if schema else {})}}


def _thinking(request: ChatRequest, upstream: str, *, cap: int) -> Block:
    wish = request.reasoning
    if wish is None or "reasoning" not in upstream:  # the others refuse the field; the name tells which they are
        return {}
    if effort.is_off(wish):
        return {"thinking": {"type": "disabled"}}
    budget = effort.budget_of(wish, cap=cap)
    return {"thinking": {"type": "enabled", **({} if budget is None else {"token_budget": budget})}}
