"""Anthropic's Messages dialect as callers write it: the body of a request read into a ChatRequest.

Both API versions (2023-06-01, 2026-10-21) and the reference's own fields (`models`, `fallbacks`, `provider`, …)
are read alike. Unknown fields never break a request; what is known but malformed is a 400 that names the field.
The order of turns is looked at by anthropic_messages_turns, answers are written by anthropic_messages_answers.
"""

from collections.abc import Mapping
from typing import Final

from routing.canonical import ChatRequest, Json, Message, ReasoningWish, ToolSpec
from routing.ingress import fields
from routing.ingress.anthropic_messages_blocks import marks, read_content
from routing.ingress.anthropic_messages_turns import Turn, arrange
from routing.ingress.openai_chat import MAX_MESSAGES, MAX_MODELS, MAX_TOOLS, read_object
from routing.ingress.plugins import require_served
from routing.ingress.preferences import read_preferences

ROLES: Final = ("user", "assistant", "system")
MAX_FALLBACKS: Final = 3
MAX_STOPS: Final = 16
LEAST_BUDGET: Final = 1_024
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
THINKING: Final = ("enabled", "disabled", "adaptive", "between_tools")
CHOICES: Final = ("auto", "any", "tool", "none")
# Read or meant for the gateway, or said in words that only Anthropic's own servers know: not sent on as unknown.
KNOWN: Final = frozenset(
    {
        "model", "messages", "system", "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k",
        "top_p", "thinking", "tools", "tool_choice", "output_config", "output_format", "cache_control", "service_tier",
        "models", "fallbacks", "provider", "session_id", "user", "plugins", "route", "preset", "debug", "trace",
        "stop_server_tools_when", "usage", "speed", "container", "context_management", "mcp_servers", "betas",
        "inference_geo", "diagnostics",
    }
)  # fmt: skip


def parse(body: bytes) -> ChatRequest:
    """The request that the body asks for. Raises InvalidRequest (400) naming what to change."""
    data = read_object(body)
    require_served(data.get("plugins"))
    tools = _tools(data)
    return ChatRequest(
        model=fields.text(data, "model") or "",
        models=_models(data),
        messages=_messages(data),
        tools=tools,
        tool_choice=_tool_choice(data, tools),
        stream=fields.flag(data, "stream") or False,
        max_tokens=fields.integer(data, "max_tokens", least=1),
        reasoning=_reasoning(data),
        response_format=_response_format(data),
        parameters=_parameters(data),
        unknown={name: value for name, value in data.items() if name not in KNOWN},
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
        preset=fields.text(data, "preset", most=100),
        input_bytes=len(body),
    )


def _models(data: Mapping[str, Json]) -> tuple[str, ...]:
    fallbacks = data.get("fallbacks")
    if fallbacks is None:
        return fields.texts(data, "models", most=MAX_MODELS)
    if data.get("models") is not None:
        raise fields.wrong("fallbacks", "cannot be combined with 'models'")
    if not isinstance(fallbacks, list) or len(fallbacks) > MAX_FALLBACKS:
        raise fields.wrong("fallbacks", f"must be an array of at most {MAX_FALLBACKS} entries")
    names: list[str] = []
    for place, entry in enumerate(fallbacks):
        name = entry.get("model") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise fields.wrong(f"fallbacks[{place}].model", "must name a model")
        names.append(name)
    return tuple(names)


def _messages(data: Mapping[str, Json]) -> tuple[Message, ...]:
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise fields.wrong("messages", "must be a non-empty array: at least one message is required")
    if len(messages) > MAX_MESSAGES:
        raise fields.wrong("messages", f"has more than {MAX_MESSAGES} entries")
    head: tuple[Message, ...] = ()
    if data.get("system"):
        head = (Message("system", read_content(data["system"], "system", role="system")),)
    last = len(messages) - 1
    turns = [_turn(message, f"messages[{i}]", may_be_empty=i == last) for i, message in enumerate(messages)]
    return head + arrange(turns)


def _turn(message: Json, where: str, *, may_be_empty: bool) -> Turn:
    if not isinstance(message, dict):
        raise fields.wrong(where, "must be an object")
    role = message.get("role")
    if role not in ROLES:
        raise fields.wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
    parts = read_content(message.get("content"), f"{where}.content", role=role)
    if not parts and not (may_be_empty and role == "assistant"):
        raise fields.wrong(f"{where}.content", "must not be empty, except in a last message of the assistant")
    return Turn(role, parts, where)


def _tools(data: Mapping[str, Json]) -> tuple[ToolSpec, ...]:
    tools = data.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise fields.wrong("tools", f"must be an array of at most {MAX_TOOLS} tools")
    return tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))


def _tool(tool: Json, where: str) -> ToolSpec:
    if not isinstance(tool, dict):
        raise fields.wrong(where, "must be an object")
    kind = tool.get("type")
    if kind not in (None, "custom"):
        raise fields.wrong(f"{where}.type", 'must be "custom": tools of Anthropic\'s own are not served here')
    name = tool.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 128:
        raise fields.wrong(f"{where}.name", "must be a name of 1 to 128 characters")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise fields.wrong(f"{where}.input_schema", "must be a JSON schema object")
    return ToolSpec(
        name,
        fields.text(tool, "description", most=100_000, where=f"{where}.description"),
        schema,
        fields.flag(tool, "strict", where=f"{where}.strict"),
        marks(tool, "cache_control"),
    )


def _tool_choice(data: Mapping[str, Json], tools: tuple[ToolSpec, ...]) -> Json:
    choice = data.get("tool_choice")
    if choice is None:
        return None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in CHOICES:
        raise fields.wrong("tool_choice.type", f"must be one of {', '.join(CHOICES)}")
    if not tools:
        raise fields.wrong("tool_choice", "may only be given together with tools")
    if kind == "tool":
        name = choice.get("name")
        if name not in {tool.name for tool in tools}:
            raise fields.wrong("tool_choice.name", "must name one of the tools")
        return {"type": "function", "function": {"name": name}}
    return "required" if kind == "any" else kind


def _reasoning(data: Mapping[str, Json]) -> ReasoningWish | None:
    effort = _output_config(data).get("effort")
    if effort is not None and effort not in EFFORTS:
        raise fields.wrong("output_config.effort", f"must be one of {', '.join(EFFORTS)}")
    thinking = data.get("thinking")
    if thinking is None:
        return None if effort is None else ReasoningWish(effort=effort)
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in THINKING:
        raise fields.wrong("thinking.type", f"must be one of {', '.join(THINKING)}")
    if kind == "disabled":
        return ReasoningWish(enabled=False)
    budget = fields.integer(thinking, "budget_tokens", least=LEAST_BUDGET, where="thinking.budget_tokens")
    if kind == "enabled" and budget is None:
        raise fields.wrong("thinking.budget_tokens", "is required when thinking is enabled")
    display = fields.text(thinking, "display", where="thinking.display")
    return ReasoningWish(effort=effort, max_tokens=budget, exclude=display == "omitted", enabled=True)


def _output_config(data: Mapping[str, Json]) -> Mapping[str, Json]:
    config = data.get("output_config")
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise fields.wrong("output_config", "must be an object")
    return config


def _response_format(data: Mapping[str, Json]) -> Mapping[str, Json] | None:
    wanted = _output_config(data).get("format") or data.get("output_format")
    if wanted is None:
        return None
    schema = wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None
    if not isinstance(schema, dict):
        raise fields.wrong("output_config.format", 'must be {"type": "json_schema", "schema": {…}}')
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _parameters(data: Mapping[str, Json]) -> dict[str, Json]:
    choice = data.get("tool_choice")
    alone = fields.flag(choice, "disable_parallel_tool_use") if isinstance(choice, dict) else None
    tier = fields.text(data, "service_tier")
    found: dict[str, Json] = {
        # The dialect's own bound of temperature is 1; other makers' models take more.
        "temperature": fields.number(data, "temperature", least=0, most=2),
        "top_p": fields.number(data, "top_p", least=0, most=1),
        "top_k": fields.integer(data, "top_k", least=0, most=1_000_000),
        "stop": list(fields.texts(data, "stop_sequences", most=MAX_STOPS)) or None,
        "parallel_tool_calls": False if alone else None,
        "user": _user(data),
        "cache_control": data.get("cache_control"),
        "service_tier": "default" if tier == "standard_only" else tier,
    }
    return {name: value for name, value in found.items() if value is not None}


def _user(data: Mapping[str, Json]) -> str | None:
    metadata = data.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise fields.wrong("metadata", "must be an object")
    own = fields.text(metadata or {}, "user_id", where="metadata.user_id")
    return own if own is not None else fields.text(data, "user")
