"""OpenAI's Responses dialect as callers write it, without any memory of ours: the body read into a ChatRequest.

Nothing is stored between requests, so what names something stored is a 400 that says to send it instead. Fields
that the chat dialect has too are read by its ingress. Input items: openai_responses_items; answers:
openai_responses_answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from routing.canonical import ChatRequest, Json, ReasoningWish, ToolSpec
from routing.ingress import fields, openai_chat
from routing.ingress.openai_responses_items import read_input

# Of this dialect alone; all else is read, carried or left alone as in the chat dialect.
OWN: Final = frozenset(
    {
        "input", "instructions", "max_output_tokens", "text", "include", "truncation", "background", "store",
        "previous_response_id", "conversation", "prompt", "safety_identifier", "tools", "tool_choice", "messages",
        "max_tokens", "max_completion_tokens", "response_format", "stream_options", "context_management",
        "top_logprobs", "reasoning", "reasoning_effort",
    }
)  # fmt: skip
STATEFUL: Final[Mapping[str, str]] = {
    "previous_response_id": "cannot be given: responses are not stored; send the earlier items as input",
    "conversation": "cannot be given: conversations are not stored; send the earlier items as input",
    "prompt": "cannot be given: prompts are not stored; send their text as instructions",
    "background": "cannot be true: responses are not stored; ask for a stream instead",
    "store": "cannot be true: responses are not stored",
}
CHOICES: Final = ("auto", "none", "required")
LOGPROBS: Final = "message.output_text.logprobs"
MAX_INSTRUCTIONS: Final = 2**24
# What an answer repeats of its request, and what it says where the request said nothing.
ECHOED: Final[Mapping[str, Json]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "temperature": None,
    "top_p": None,
    "top_logprobs": 0,
    "presence_penalty": None,
    "frequency_penalty": None,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
    "prompt_cache_key": None,
    "safety_identifier": None,
    "user": None,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The request, and what of it the answer repeats."""

    request: ChatRequest
    echo: Mapping[str, Json]


def parse(body: bytes) -> Asked:
    """The request that the body asks for. Raises InvalidRequest (400) naming what to change."""
    data = openai_chat.read_object(body)
    for name, what in STATEFUL.items():
        if data.get(name) not in (None, False, ""):
            raise fields.wrong(name, what)
    messages = read_input(data.get("input"), instructions=fields.text(data, "instructions", most=MAX_INSTRUCTIONS))
    tools, choice = _choice(data, _tools(data))
    chat = {name: value for name, value in data.items() if name not in OWN} | _written_as_chat(data)
    request = replace(
        openai_chat.read(chat | {"messages": [{"role": "user", "content": ""}]}, input_bytes=len(body)),
        messages=messages,
        tools=tools,
        tool_choice=choice,
        max_tokens=fields.integer(data, "max_output_tokens", least=1),
        reasoning=_reasoning(data),
    )
    echo = {name: rest if data.get(name) is None else data[name] for name, rest in ECHOED.items()}
    return Asked(request, echo)


def _written_as_chat(data: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that the chat dialect has under another name or in another place."""
    found: dict[str, Json] = {}
    text = data.get("text")
    if text is not None and not isinstance(text, dict):
        raise fields.wrong("text", "must be an object")
    if text and text.get("verbosity") is not None:
        found["verbosity"] = text["verbosity"]
    if text and (wanted := _response_format(text.get("format"))) is not None:
        found["response_format"] = wanted
    count = fields.integer(data, "top_logprobs", least=0, most=20)
    if count or LOGPROBS in fields.texts(data, "include", most=20):
        found |= {"logprobs": True, "top_logprobs": count or 0}
    return found


def _response_format(wanted: Json) -> Json:
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("text", "json_object"):
        return {"type": kind}
    schema = wanted.get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict):
        raise fields.wrong("text.format", 'must be {"type": "json_schema", "name": …, "schema": {…}}, or another type')
    inner = {name: wanted[name] for name in ("name", "description", "schema", "strict") if wanted.get(name) is not None}
    return {"type": "json_schema", "json_schema": {"name": "answer"} | inner}


def _reasoning(data: Mapping[str, Json]) -> ReasoningWish | None:
    """As in the chat dialect; `summary` alone asks for nothing, for summaries come wherever there are any."""
    wish = openai_chat.read_reasoning(data)
    return None if wish == ReasoningWish() else wish


def _tools(data: Mapping[str, Json]) -> tuple[ToolSpec, ...]:
    tools = data.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list) or len(tools) > openai_chat.MAX_TOOLS:
        raise fields.wrong("tools", f"must be an array of at most {openai_chat.MAX_TOOLS} tools")
    return tuple(_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools))


def _tool(tool: Json, where: str) -> ToolSpec:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise fields.wrong(f"{where}.type", 'must be "function": tools of OpenAI\'s own are not served here')
    name, parameters = tool.get("name"), tool.get("parameters")
    if not isinstance(name, str) or not 0 < len(name) <= 128:
        raise fields.wrong(f"{where}.name", "must be a name of 1 to 128 characters")
    if parameters is not None and not isinstance(parameters, dict):
        raise fields.wrong(f"{where}.parameters", "must be a JSON schema object")
    return ToolSpec(
        name,
        fields.text(tool, "description", most=100_000, where=f"{where}.description"),
        parameters,
        fields.flag(tool, "strict", where=f"{where}.strict"),
        {"cache_control": tool["cache_control"]} if tool.get("cache_control") else {},
    )


def _choice(data: Mapping[str, Json], tools: tuple[ToolSpec, ...]) -> tuple[tuple[ToolSpec, ...], Json]:
    """The tools that may be called, and the choice among them in the chat dialect's form."""
    choice = data.get("tool_choice")
    if choice is None or choice in CHOICES:
        return tools, choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    names = {tool.name for tool in tools}
    if kind == "function" and choice.get("name") in names:
        return tools, {"type": "function", "function": {"name": choice["name"]}}
    if kind == "allowed_tools":
        listed = choice.get("tools")
        allowed = {tool.get("name") for tool in listed if isinstance(tool, dict)} if isinstance(listed, list) else set()
        if not allowed or not allowed <= names or choice.get("mode") not in ("auto", "required"):
            raise fields.wrong("tool_choice", "must give a mode, auto or required, and name some of the tools")
        return tuple(tool for tool in tools if tool.name in allowed), choice["mode"]
    raise fields.wrong("tool_choice", f"must be one of {', '.join(CHOICES)}, or name one of the tools")
