"""Google's generateContent dialect as callers write it: the body of a request read into a ChatRequest.

The model stands in the address. Names come in camel case or, as protobuf allows, in snake case. The reference's
own fields (`models`, `provider`, `session_id`) are read beside Google's. Turns: gemini_contents; schemas:
gemini_schemas; answers: gemini_answers.
"""

from collections.abc import Mapping
from typing import Final

from routing.canonical import ChatRequest, Json, Message, ReasoningWish, ToolSpec
from routing.ingress import fields
from routing.ingress.gemini_contents import camel, read_contents, read_instruction
from routing.ingress.gemini_schemas import json_schema
from routing.ingress.openai_chat import MAX_MODELS, MAX_TOOLS, read_object
from routing.ingress.preferences import read_preferences

KNOWN: Final = frozenset(
    {
        "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
        "cachedContent", "labels", "models", "provider", "sessionId", "user", "serviceTier", "store",
    }
)  # fmt: skip
# Kinds of tools that Google runs itself.
HOSTED: Final = (
    "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps", "fileSearch", "computerUse",
    "enterpriseWebSearch", "retrieval", "mcpServers",
)  # fmt: skip
MODES: Final[Mapping[str, str]] = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
EFFORTS: Final = ("minimal", "low", "medium", "high", "xhigh")
ANY_BUDGET: Final = -1  # the model decides
MAX_STOPS: Final = 16
PLAIN: Final = "text/plain"
JSON_TYPE: Final = "application/json"


def parse(body: bytes, *, model: str, stream: bool) -> ChatRequest:
    """The request that address and body ask for. Raises InvalidRequest (400) naming what to change."""
    return _read(camel(read_object(body)), model=model, stream=stream, input_bytes=len(body))


def parse_to_count(body: bytes, *, model: str) -> ChatRequest:
    """The request whose length is asked for: the body itself, or what it has as `generateContentRequest`."""
    data = camel(read_object(body))
    inner = data.get("generateContentRequest")
    return _read(camel(inner) if isinstance(inner, dict) else data, model=model, stream=False, input_bytes=len(body))


def _read(data: Mapping[str, Json], *, model: str, stream: bool, input_bytes: int) -> ChatRequest:
    config = _object(data, "generationConfig")
    tools = _tools(data)
    tools, choice = _choice(data, tools)
    messages: tuple[Message, ...] = (
        *read_instruction(data.get("systemInstruction"), "systemInstruction"),
        *read_contents(data.get("contents")),
    )
    return ChatRequest(
        model=model.removeprefix("models/"),
        models=fields.texts(data, "models", most=MAX_MODELS),
        messages=messages,
        tools=tools,
        tool_choice=choice,
        stream=stream,
        max_tokens=fields.integer(config, "maxOutputTokens", least=1, where="generationConfig.maxOutputTokens"),
        reasoning=_reasoning(config),
        response_format=_response_format(config),
        parameters=_parameters(data, config),
        unknown={name: value for name, value in data.items() if name not in KNOWN},
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "sessionId", most=256),
        input_bytes=input_bytes,
    )


def shows_thoughts(request: ChatRequest) -> bool:
    """Whether the caller asked to see what was thought: this dialect keeps it back unless told otherwise."""
    return request.reasoning is not None and not request.reasoning.exclude


def _object(data: Mapping[str, Json], name: str, where: str | None = None) -> dict[str, Json]:
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise fields.wrong(where or name, "must be an object")
    return camel(value)


def _tools(data: Mapping[str, Json]) -> tuple[ToolSpec, ...]:
    groups = data.get("tools")
    if groups is None:
        return ()
    if isinstance(groups, dict):
        groups = [groups]
    if not isinstance(groups, list):
        raise fields.wrong("tools", "must be an array")
    found: list[ToolSpec] = []
    for place, group in enumerate(groups):
        here = f"tools[{place}]"
        if not isinstance(group, dict):
            raise fields.wrong(here, "must be an object")
        group = camel(group)
        if hosted := [name for name in HOSTED if group.get(name) is not None]:
            raise fields.wrong(here, f"has {hosted[0]}, which Google runs itself; only functionDeclarations are served")
        declared = group.get("functionDeclarations") or []
        if not isinstance(declared, list):
            raise fields.wrong(f"{here}.functionDeclarations", "must be an array")
        found += (_tool(tool, f"{here}.functionDeclarations[{i}]") for i, tool in enumerate(declared))
    if len(found) > MAX_TOOLS:
        raise fields.wrong("tools", f"have more than {MAX_TOOLS} functions")
    return tuple(found)


def _tool(tool: Json, where: str) -> ToolSpec:
    if not isinstance(tool, dict):
        raise fields.wrong(where, "must be an object")
    tool = camel(tool)
    name = tool.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 128:
        raise fields.wrong(f"{where}.name", "must be a name of 1 to 128 characters")
    parameters = tool.get("parametersJsonSchema")
    if parameters is None and tool.get("parameters") is not None:
        parameters = json_schema(tool["parameters"], f"{where}.parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise fields.wrong(f"{where}.parametersJsonSchema", "must be a JSON schema object")
    return ToolSpec(name, fields.text(tool, "description", most=100_000, where=f"{where}.description"), parameters)


def _choice(data: Mapping[str, Json], tools: tuple[ToolSpec, ...]) -> tuple[tuple[ToolSpec, ...], Json]:
    """The functions that may be called, and the choice among them in the chat dialect's form."""
    wanted = _object(_object(data, "toolConfig"), "functionCallingConfig", "toolConfig.functionCallingConfig")
    where = "toolConfig.functionCallingConfig"
    mode = wanted.get("mode")
    if mode is None or mode == "MODE_UNSPECIFIED":
        return tools, None
    choice = MODES.get(mode.upper()) if isinstance(mode, str) else None
    if choice is None:
        raise fields.wrong(f"{where}.mode", f"must be one of {', '.join(MODES)}")
    if not tools:
        return tools, None
    names = fields.texts(wanted, "allowedFunctionNames", most=MAX_TOOLS, where=f"{where}.allowedFunctionNames")
    if not names:
        return tools, choice
    allowed = tuple(tool for tool in tools if tool.name in names)
    if len({tool.name for tool in allowed}) < len(set(names)):
        raise fields.wrong(f"{where}.allowedFunctionNames", "must name functions among the tools")
    if choice == "required" and len(allowed) == 1:
        return tools, {"type": "function", "function": {"name": allowed[0].name}}
    return allowed, choice


def _reasoning(config: Mapping[str, Json]) -> ReasoningWish | None:
    wish = _object(config, "thinkingConfig", "generationConfig.thinkingConfig")
    if not wish:
        return None
    where = "generationConfig.thinkingConfig"
    shown = fields.flag(wish, "includeThoughts", where=f"{where}.includeThoughts") or False
    budget = fields.integer(wish, "thinkingBudget", least=ANY_BUDGET, where=f"{where}.thinkingBudget")
    level = fields.text(wish, "thinkingLevel", where=f"{where}.thinkingLevel")
    effort = level.lower() if level and level != "THINKING_LEVEL_UNSPECIFIED" else None
    if effort is not None and effort not in EFFORTS:
        raise fields.wrong(f"{where}.thinkingLevel", f"must be one of {', '.join(EFFORTS).upper()}")
    return ReasoningWish(
        effort=effort,
        max_tokens=budget if budget is not None and budget > 0 else None,
        exclude=not shown,
        enabled=None if budget is None else budget != 0,
    )


def _response_format(config: Mapping[str, Json]) -> Mapping[str, Json] | None:
    kind = fields.text(config, "responseMimeType", where="generationConfig.responseMimeType") or PLAIN
    if kind not in (PLAIN, JSON_TYPE):
        raise fields.wrong("generationConfig.responseMimeType", f"must be {PLAIN} or {JSON_TYPE}")
    if kind == PLAIN:
        return None
    schema = config.get("responseJsonSchema")
    if schema is None:
        schema = config.get("_responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = json_schema(config["responseSchema"], "generationConfig.responseSchema")
    if schema is None:
        return {"type": "json_object"}
    if not isinstance(schema, dict):
        raise fields.wrong("generationConfig.responseJsonSchema", "must be a JSON schema object")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _parameters(data: Mapping[str, Json], config: Mapping[str, Json]) -> dict[str, Json]:
    def number(name: str, least: float, most: float) -> int | float | None:
        return fields.number(config, name, least=least, most=most, where=f"generationConfig.{name}")

    count = fields.integer(config, "candidateCount", least=1, where="generationConfig.candidateCount")
    if count is not None and count > 1:
        raise fields.wrong("generationConfig.candidateCount", "must be 1: ask again for another answer")
    logprobs = fields.flag(config, "responseLogprobs", where="generationConfig.responseLogprobs")
    found: dict[str, Json] = {
        "temperature": number("temperature", 0, 2),
        "top_p": number("topP", 0, 1),
        "top_k": fields.integer(config, "topK", least=0, most=1_000_000, where="generationConfig.topK"),
        "presence_penalty": number("presencePenalty", -2, 2),
        "frequency_penalty": number("frequencyPenalty", -2, 2),
        "seed": fields.integer(config, "seed", where="generationConfig.seed"),
        "stop": list(fields.texts(config, "stopSequences", most=MAX_STOPS, where="generationConfig.stopSequences"))
        or None,
        "logprobs": logprobs,
        "top_logprobs": fields.integer(config, "logprobs", least=0, most=20, where="generationConfig.logprobs"),
        "modalities": [name.lower() for name in fields.texts(config, "responseModalities", most=5)] or None,
        "image_config": config.get("imageConfig"),
        "user": fields.text(data, "user"),
    }
    return {name: value for name, value in found.items() if value is not None}
