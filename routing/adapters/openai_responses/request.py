"""A canonical request written as POST /responses."""

from typing import Final

from routing.adapters import effort
from routing.adapters.breakpoints import breakpoint_of, with_breakpoints
from routing.adapters.openai_responses.items import write_items
from routing.canonical import ChatRequest, Json, Message, ReasoningWish, Text, ToolSpec

SENT: Final = frozenset(
    {
        "temperature", "top_p", "parallel_tool_calls", "user", "metadata", "service_tier", "prompt_cache_key",
        "top_logprobs",
    }
)  # fmt: skip
SYSTEM_ROLES: Final = frozenset({"system", "developer"})
LEVELS: Final = {"max": "xhigh"}
UNCAPPED: Final = 8_192  # the answer's size that an effort is chosen for, where no cap was said

Block = dict[str, Json]


def write_request(request: ChatRequest, *, upstream: str, stream: bool, max_tokens: int | None) -> Block:
    """The body. Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry."""
    instructions, messages = _instructions(with_breakpoints(request.messages, upstream=upstream))
    body: Block = {"model": upstream, "input": _input(messages), "store": False}
    if instructions:
        body["instructions"] = instructions
    if max_tokens is not None:
        body["max_output_tokens"] = max_tokens
    body |= {name: value for name, value in request.parameters.items() if name in SENT}
    body |= _tools(request)
    include = ["message.output_text.logprobs"] if request.parameters.get("logprobs") else []
    if request.reasoning is not None and (thinking := _reasoning(request.reasoning, cap=max_tokens or UNCAPPED)):
        body["reasoning"] = thinking
        include.append("reasoning.encrypted_content")  # what is not stored there must travel with the caller
    if include:
        body["include"] = include
    if text := _text(request):
        body["text"] = text
    if stream:
        body["stream"] = True
    return body


def _instructions(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """(what the first system messages say, the rest). Later ones, and marked ones, are items among the turns."""
    said: list[str] = []
    for place, message in enumerate(messages):
        if message.role not in SYSTEM_ROLES or any(map(breakpoint_of, message.parts)):
            return "\n\n".join(said), messages[place:]
        said += [part.text for part in message.parts if isinstance(part, Text) and part.text]
    return "", messages  # nothing but instructions: they stay what there is to read


def _input(messages: tuple[Message, ...]) -> Json:
    if len(messages) == 1 and messages[0].role == "user":
        parts = messages[0].parts
        if len(parts) == 1 and isinstance(parts[0], Text) and not breakpoint_of(parts[0]):
            return parts[0].text
    return [item for message in messages for item in write_items(message)]


def _tools(request: ChatRequest) -> Block:
    if not request.tools:
        return {}
    choice = request.tool_choice
    if isinstance(choice, dict):
        choice = {"type": "function", "name": choice["function"]["name"]}
    return {"tools": [_tool(tool) for tool in request.tools], **({} if choice is None else {"tool_choice": choice})}


def _tool(tool: ToolSpec) -> Block:
    written: Block = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    # Here the default is strict, which refuses schemas that a caller of the chat dialect may well send.
    return written | {"strict": bool(tool.strict)}


def _reasoning(wish: ReasoningWish, *, cap: int) -> Block:
    if effort.is_off(wish):
        return {"effort": "none"}
    level = effort.effort_of(wish, cap=cap)
    if level is None:
        return {}
    return {"effort": LEVELS.get(level, level), **({} if wish.exclude else {"summary": "auto"})}


def _text(request: ChatRequest) -> Block:
    written: Block = {}
    wanted = request.response_format
    if wanted is not None and wanted["type"] == "json_schema":
        written["format"] = {"type": "json_schema", "name": "answer", **wanted["json_schema"]}
    elif wanted is not None and wanted["type"] == "json_object":
        written["format"] = {"type": "json_object"}
    if "verbosity" in request.parameters:
        written["verbosity"] = request.parameters["verbosity"]
    return written
