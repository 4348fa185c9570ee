"""A canonical request written for generateContent."""

from typing import Final

from routing.adapters import effort
from routing.adapters.gemini.contents import Content, write_contents
from routing.adapters.gemini.models import Abilities, abilities
from routing.canonical import ChatRequest, Json, ReasoningWish, ToolSpec

RENAMED: Final = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
PENALTIES: Final = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
MODALITIES: Final = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
MOST_STOPS: Final = 5
SEED_MAX: Final = 2**31 - 1
UNCAPPED: Final = 8_192  # the answer's size that an effort is a share of, where no cap was said


def write_request(request: ChatRequest, *, upstream: str, max_tokens: int | None) -> dict[str, Json]:
    """The body. What the model of that name does not accept is left out.

    Raises UpstreamError(kind invalid, retryable) for content that the dialect cannot carry.
    """
    able = abilities(upstream)
    system, contents = write_contents(request.messages, able)
    body: dict[str, Json] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system, "role": "user"}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice)}
    body["generationConfig"] = _config(request, able, max_tokens=max_tokens)
    return body


def _tool(tool: ToolSpec) -> Content:
    written: Content = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.parameters:
        written["parametersJsonSchema"] = tool.parameters
    return written


def _choice(choice: Json) -> Content:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
    return {"mode": MODES[choice]}


def _config(request: ChatRequest, able: Abilities, *, max_tokens: int | None) -> Content:
    asked = request.parameters
    names = RENAMED | (PENALTIES if able.has_penalties else {})
    config: Content = {ours: asked[name] for name, ours in names.items() if name in asked}
    if max_tokens is not None:
        config["maxOutputTokens"] = max_tokens
    if asked.get("stop"):
        config["stopSequences"] = asked["stop"][:MOST_STOPS]
    if "seed" in asked and abs(asked["seed"]) <= SEED_MAX:
        config["seed"] = asked["seed"]
    wanted = asked.get("modalities")
    modalities = [MODALITIES[name] for name in wanted if name in MODALITIES] if isinstance(wanted, list) else []
    if modalities and modalities != ["TEXT"]:
        config["responseModalities"] = modalities
    config |= _format(request, able)
    if request.reasoning is not None and (thinking := _thinking(request.reasoning, able, cap=max_tokens or UNCAPPED)):
        config["thinkingConfig"] = thinking
    return config


def _format(request: ChatRequest, able: Abilities) -> Content:
    wanted = request.response_format
    if wanted is None or wanted["type"] not in {"json_object", "json_schema"}:
        return {}
    if request.tools and not able.schema_beside_tools:
        return {}
    written: Content = {"responseMimeType": "application/json"}
    schema = wanted["json_schema"].get("schema") if wanted["type"] == "json_schema" else None
    return written | {"responseJsonSchema": schema} if schema else written


def _thinking(wish: ReasoningWish, able: Abilities, *, cap: int) -> Content:
    if able.thinking == "none":
        return {}
    shown: Content = {} if wish.exclude else {"includeThoughts": True}
    if able.thinking == "budget":
        least, most, none = able.budgets
        if effort.is_off(wish):
            return {"thinkingBudget": none}
        budget = effort.budget_of(wish, cap=cap)
        return shown if budget is None else {"thinkingBudget": max(least, min(budget, most)), **shown}
    level = "minimal" if effort.is_off(wish) else effort.effort_of(wish, cap=cap)
    if level is None:
        return shown
    written: Content = {"thinkingLevel": _nearest(level, able.levels)}
    return written if effort.is_off(wish) else written | shown


def _nearest(level: str, levels: tuple[str, ...]) -> str:
    """The level itself, or the next one up that the model has, or its most."""
    order = ("minimal", "low", "medium", "high", "xhigh", "max")
    return next((one for one in order[order.index(level) :] if one in levels), levels[-1])
