"""A canonical request written as POST /v1/messages."""

from collections.abc import Iterator, Sequence
from typing import Final

from routing.adapters import effort
from routing.adapters.anthropic.blocks import Block, mark_of, write_parts
from routing.adapters.anthropic.models import Abilities, abilities
from routing.canonical import ChatRequest, Json, Message, Part, ToolCall, ToolResult, ToolSpec

DEFAULT_MAX_TOKENS: Final = 4_096  # the dialect has no default: a request without max_tokens is refused
LEAST_BUDGET: Final = 1_024
MOST_MARKS: Final = 4
SYSTEM_ROLES: Final = frozenset({"system", "developer"})
ASSISTANT_FIRST: Final = "."  # said before a conversation that the assistant began: the first turn must be the user's
LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
SERVICE_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


def write_request(request: ChatRequest, *, upstream: str, stream: bool, max_tokens: int | None) -> dict[str, Json]:
    """The body. What the model of that name does not accept is left out.

    Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry.
    """
    able = abilities(upstream)
    cap = max_tokens or DEFAULT_MAX_TOKENS
    system, turns = write_turns(request.messages)
    body: dict[str, Json] = {"model": upstream, "max_tokens": cap, "messages": turns}
    if system:
        plain = len(system) == 1 and "cache_control" not in system[0]
        body["system"] = system[0]["text"] if plain else system
    body |= _tools(request, able)
    body |= _thinking(request, able, cap=cap, choice=body.get("tool_choice"), turns=turns)
    body |= _sampling(request, able, thinks=body.get("thinking", {}).get("type") == "enabled")
    body |= _rest(request)
    if stream:
        body["stream"] = True
    _bound_marks(body)
    return body


def write_turns(messages: Sequence[Message]) -> tuple[list[Block], list[Block]]:
    """(system blocks, turns). Every system message moves to the top; turns of one role in a row become one."""
    system: list[Block] = []
    turns: list[Block] = []
    for message in messages:
        blocks = write_parts(message.parts)
        if message.role in SYSTEM_ROLES:
            system += [block for block in blocks if block["type"] == "text"]
            continue
        if not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:  # nothing but instructions: they are what the user says
        turns, system = [{"role": "user", "content": system or [{"type": "text", "text": ASSISTANT_FIRST}]}], []
    if turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": ASSISTANT_FIRST}]})
    for turn in turns:
        # Results must stand before whatever else the user says in that turn.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    last = turns[-1]["content"][-1]
    if turns[-1]["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()  # the beginning of the answer may not end in blanks
    for turn in turns:
        blocks = turn["content"]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            turn["content"] = blocks[0]["text"]
    return system, turns


def _tools(request: ChatRequest, able: Abilities) -> dict[str, Json]:
    if not request.tools:
        # Calls in the history are refused where no tool is defined, even if none is to be called any more.
        called = dict.fromkeys(part.name for part in _parts(request) if isinstance(part, ToolCall))
        if not called and not any(isinstance(part, ToolResult) for part in _parts(request)):
            return {}
        specs = [ToolSpec(name) for name in called] or [ToolSpec("unavailable")]
        return {"tools": [_tool(spec, able) for spec in specs], "tool_choice": {"type": "none"}}
    written: dict[str, Json] = {"tools": [_tool(spec, able) for spec in request.tools]}
    choice = _choice(request.tool_choice, able)
    if request.parameters.get("parallel_tool_calls") is False and (choice or {}).get("type") != "none":
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return written if choice is None else written | {"tool_choice": choice}


def _parts(request: ChatRequest) -> Iterator[Part]:
    return (part for message in request.messages for part in message.parts)


def _tool(spec: ToolSpec, able: Abilities) -> Block:
    tool: Block = {"name": spec.name}
    if spec.description is not None:
        tool["description"] = spec.description
    tool["input_schema"] = {"type": "object", **(spec.parameters or {"properties": {}})}
    if spec.strict and able.schemas:
        tool["strict"] = True
    if (mark := mark_of(spec.extra)) is not None:
        tool["cache_control"] = mark
    return tool


def _choice(choice: Json, able: Abilities) -> Block | None:
    if choice in ("auto", "none"):
        return {"type": choice}
    if choice is None or not able.forces_tools:
        return None
    if isinstance(choice, dict):
        return {"type": "tool", "name": choice["function"]["name"]}
    return {"type": "any"}


def _thinking(
    request: ChatRequest, able: Abilities, *, cap: int, choice: Json, turns: Sequence[Block]
) -> dict[str, Json]:
    """`thinking` and `output_config`, as far as the rest of the request lets the model think."""
    config: dict[str, Json] = {}
    written: dict[str, Json] = {}
    wanted = request.response_format
    if wanted is not None and wanted["type"] == "json_schema" and able.schemas:
        config["format"] = {"type": "json_schema", "schema": wanted["json_schema"].get("schema") or {}}
    level = request.parameters.get("verbosity")
    wish = request.reasoning
    forced = (choice or {}).get("type") in ("any", "tool")
    if wish is not None and effort.is_off(wish):
        if able.off == "disabled":
            written["thinking"] = {"type": "disabled"}
        elif able.off == "low":
            level = level or "low"
    elif wish is not None and effort.is_wanted(wish):
        if able.thinking == "adaptive":
            # How hard to think may always be said; that it thinks, only where no tool is forced.
            level = level or (effort.effort_of(wish, cap=cap) if wish.effort or wish.max_tokens else None)
            if not forced:
                shown = {} if able.shows_thoughts or wish.exclude else {"display": "summarized"}
                written["thinking"] = {"type": "adaptive", **shown}
        elif able.thinking == "budget" and not forced and _may_begin_to_think(turns):
            budget = min(max(effort.budget_of(wish, cap=cap) or 0, LEAST_BUDGET), cap - 1)
            if budget >= LEAST_BUDGET:
                written["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if able.thinking == "adaptive" and isinstance(level, str) and level in LEVELS:
        config["effort"] = "high" if level == "xhigh" and not able.has_xhigh else LEVELS[level]
    return written | {"output_config": config} if config else written


def _may_begin_to_think(turns: Sequence[Block]) -> bool:
    """Not in the middle: a begun answer, or a loop of tool calls whose own thoughts did not come back, is refused."""
    if turns[-1]["role"] == "assistant":
        return False
    results = turns[-1]["content"]
    if not isinstance(results, list) or results[0]["type"] != "tool_result" or len(turns) < 2:
        return True
    calls = turns[-2]["content"]
    return isinstance(calls, list) and calls[0]["type"] in ("thinking", "redacted_thinking")


def _sampling(request: ChatRequest, able: Abilities, *, thinks: bool) -> dict[str, Json]:
    if not able.samples or thinks:
        return {}
    asked = request.parameters
    written = {name: asked[name] for name in ("temperature", "top_p", "top_k") if name in asked}
    if "temperature" in written:
        written["temperature"] = min(written["temperature"], 1)  # elsewhere it goes up to 2
        if not able.samples_twice:
            written.pop("top_p", None)
    return written


def _rest(request: ChatRequest) -> dict[str, Json]:
    asked = request.parameters
    written: dict[str, Json] = {}
    stops = [stop for stop in asked.get("stop", []) if stop.strip()]  # one of blanks alone is refused
    if stops:
        written["stop_sequences"] = stops
    if isinstance(asked.get("user"), str):
        written["metadata"] = {"user_id": asked["user"]}
    if asked.get("service_tier") in SERVICE_TIERS:
        written["service_tier"] = SERVICE_TIERS[asked["service_tier"]]
    if (mark := mark_of(asked)) is not None:
        written["cache_control"] = mark
    return written


def _bound_marks(body: dict[str, Json]) -> None:
    """At most four breakpoints are allowed: the last ones reach furthest, so the first ones go."""
    marked: list[Block] = []
    for content in (body.get("tools"), body.get("system"), *(turn["content"] for turn in body["messages"])):
        if isinstance(content, list):
            marked += [block for block in content if "cache_control" in block]
    room = MOST_MARKS - ("cache_control" in body)
    for block in marked[: max(0, len(marked) - room)]:
        del block["cache_control"]
