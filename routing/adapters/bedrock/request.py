"""A canonical request written for Converse. What every model reads has a field; what only some read goes in
`additionalModelRequestFields`, which a model that does not know it refuses."""

from collections.abc import Iterator
from typing import Final

import orjson

from routing.adapters import effort
from routing.adapters.anthropic.models import abilities
from routing.adapters.bedrock.blocks import Block, write_parts
from routing.canonical import ChatRequest, Json, Message, Part, ToolCall, ToolResult, ToolSpec

SYSTEM_ROLES: Final = frozenset({"system", "developer"})
USER_FIRST: Final = "."  # said before a conversation that the assistant began: the first turn must be the user's
DOCUMENT_WORDS: Final = "The document is attached."  # a turn with a document must have words
MOST_STOPS: Final = 4
LEAST_BUDGET: Final = 1_024
UNCAPPED: Final = 4_096
TIERS: Final = {"priority": "priority", "flex": "flex", "default": "default"}


def write_request(request: ChatRequest, *, upstream: str, max_tokens: int | None) -> Block:
    """The body. Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry."""
    system, turns = _turns(request.messages)
    body: Block = {"messages": turns}
    if system:
        body["system"] = system
    tools = _tools(request)
    if tools:
        body["toolConfig"] = tools
    extra, output = _thinking(request, upstream, cap=max_tokens or UNCAPPED, choice=tools.get("toolChoice"))
    if inference := _inference(request, upstream, max_tokens, thinks="budget_tokens" in str(extra.get("thinking"))):
        body["inferenceConfig"] = inference
    if "top_k" in request.parameters and "claude" in upstream and abilities(upstream).samples and not extra:
        extra["top_k"] = request.parameters["top_k"]
    if extra:
        body["additionalModelRequestFields"] = extra
    output |= _format(request)
    if output:
        body["outputConfig"] = output
    tier = request.parameters.get("service_tier")
    if tier in TIERS:
        body["serviceTier"] = {"type": TIERS[tier]}
    return body


def _turns(messages: tuple[Message, ...]) -> tuple[list[Block], list[Block]]:
    """(system blocks, turns). System messages move to the top; turns of one role in a row become one."""
    system: list[Block] = []
    turns: list[Block] = []
    for message in messages:
        blocks = write_parts(message.parts)
        if message.role in SYSTEM_ROLES:
            system += [block for block in blocks if "text" in block or "cachePoint" in block]
            continue
        if not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:  # nothing but instructions: they are what the user says
        turns, system = [{"role": "user", "content": system or [{"text": USER_FIRST}]}], []
    if turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"text": USER_FIRST}]})
    for turn in turns:
        content = turn["content"]
        content.sort(key=lambda block: "toolResult" not in block)  # results stand before what else is said
        if any("document" in block for block in content) and not any("text" in block for block in content):
            content.append({"text": DOCUMENT_WORDS})
    return system, turns


def _parts(request: ChatRequest) -> Iterator[Part]:
    return (part for message in request.messages for part in message.parts)


def _tools(request: ChatRequest) -> Block:
    tools = request.tools
    if not tools or request.tool_choice == "none":
        # It cannot be told to call none; but calls in the history are refused where no tool is defined.
        called = dict.fromkeys(part.name for part in _parts(request) if isinstance(part, ToolCall))
        if not called and not any(isinstance(part, ToolResult) for part in _parts(request)):
            return {}
        return {"tools": [_tool(spec) for spec in tools or [ToolSpec(name) for name in called or ["unavailable"]]]}
    written: Block = {"tools": [_tool(tool) for tool in tools]}
    match request.tool_choice:
        case "auto":
            written["toolChoice"] = {"auto": {}}
        case "required":
            written["toolChoice"] = {"any": {}}
        case {"function": {"name": name}}:
            written["toolChoice"] = {"tool": {"name": name}}
    return written


def _tool(tool: ToolSpec) -> Block:
    spec: Block = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": {"type": "object", **(tool.parameters or {"properties": {}})}}
    return {"toolSpec": spec}


def _inference(request: ChatRequest, upstream: str, max_tokens: int | None, *, thinks: bool) -> Block:
    asked = request.parameters
    written: Block = {}
    if max_tokens is not None:
        written["maxTokens"] = max_tokens
    able = abilities(upstream) if "claude" in upstream else None
    if able is None or (able.samples and not thinks):
        if "temperature" in asked:
            written["temperature"] = min(asked["temperature"], 1)  # elsewhere it goes up to 2
        if "top_p" in asked and (able is None or able.samples_twice or "temperature" not in asked):
            written["topP"] = asked["top_p"]
    if stops := [stop for stop in asked.get("stop", []) if stop.strip()][:MOST_STOPS]:
        written["stopSequences"] = stops
    return written


def _thinking(request: ChatRequest, upstream: str, *, cap: int, choice: Json) -> tuple[Block, Block]:
    """(fields of the model's own, outputConfig): each maker is asked to think in its own words."""
    wish = request.reasoning
    if wish is None or not effort.is_wanted(wish):
        return {}, {}
    if "gpt-oss" in upstream:
        level = effort.effort_of(wish, cap=cap)
        return {"reasoning_effort": {"minimal": "low", "xhigh": "high", "max": "high"}.get(str(level), level)}, {}
    if "claude" not in upstream:
        return {}, {}
    able = abilities(upstream)
    forced = choice is not None and "auto" not in choice
    if able.thinking == "adaptive":
        said = wish.effort or wish.max_tokens
        level = {"minimal": "low"}.get(str(effort.effort_of(wish, cap=cap)), effort.effort_of(wish, cap=cap))
        output: Block = {"effort": level if able.has_xhigh or level != "xhigh" else "high"} if said else {}
        return {} if forced else {"thinking": {"type": "adaptive"}}, output
    budget = min(max(effort.budget_of(wish, cap=cap) or 0, LEAST_BUDGET), cap - 1)
    if able.thinking == "none" or forced or budget < LEAST_BUDGET:
        return {}, {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}, {}


def _format(request: ChatRequest) -> Block:
    wanted = request.response_format
    if wanted is None or wanted["type"] != "json_schema":
        return {}
    named = wanted["json_schema"]
    schema: Block = {"schema": orjson.dumps(named.get("schema") or {}).decode()}
    schema |= {name: named[name] for name in ("name", "description") if named.get(name)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
