"""OpenAI's chat dialect as callers write it: the body of a request read into a ChatRequest.

Unknown fields never break a request: they are kept aside, and an adapter passes them on only where its
dialect allows. What is known but malformed is a 400 that names the field. Answers: openai_chat_answers.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from marketplace.lib.errors import InvalidRequest
from routing.canonical import (
    ChatRequest,
    Json,
    Message,
    ReasoningWish,
    ToolSpec,
)
from routing.ingress import fields
from routing.ingress.openai_parts import read_message
from routing.ingress.plugins import require_served
from routing.ingress.preferences import read_preferences

MAX_MESSAGES: Final = 10_000
MAX_MODELS: Final = 50
MAX_TOOLS: Final = 1_000

# name -> (least, most) for numbers that every provider reads alike; bounds as in the public reference
NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_a": (0, 1),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 2),
}
INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    "top_k": (0, 1_000_000),
    "top_logprobs": (0, 20),
    "seed": (-(2**63), 2**63 - 1),
}
FLAGS: Final = frozenset({"logprobs", "parallel_tool_calls"})
# Known and carried as they are; the provider judges their inside.
CARRIED: Final = frozenset(
    {
        "logit_bias",
        "prediction",
        "modalities",
        "audio",
        "image_config",
        "verbosity",
        "service_tier",
        "user",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "cache_control",
        "web_search_options",
        "structured_outputs",
    }
)
# The gateway's own words (and what would multiply an answer behind the reservation): never sent on.
OWN: Final = frozenset(
    {
        "provider", "models", "route", "plugins", "usage", "transforms", "session_id", "preset", "debug", "trace",
        "stream_options", "stop_server_tools_when", "max_tool_calls", "include_reasoning", "x_search_filter",
        "n", "best_of", "num_completions", "store", "fallbacks",
    }
)  # fmt: skip
READ: Final = frozenset(
    {
        "model", "messages", "prompt", "tools", "tool_choice", "stream", "max_tokens", "max_completion_tokens", "stop",
        "reasoning", "reasoning_effort", "response_format",
    }
)  # fmt: skip
GZIP: Final = b"\x1f\x8b"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # which some editors and shells put before a file's text
EFFORTS: Final = frozenset({"max", "xhigh", "high", "medium", "low", "minimal", "none"})


def parse(body: bytes) -> ChatRequest:
    """The request that the body asks for. Raises InvalidRequest (400) naming what to change."""
    return read(read_object(body), input_bytes=len(body))


def read(data: Mapping[str, Json], *, input_bytes: int) -> ChatRequest:
    """The request of a decoded body, for dialects that this one's fields can say. Raises InvalidRequest."""
    require_served(data.get("plugins"))
    return ChatRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        messages=_messages(data),
        tools=_tools(data),
        tool_choice=_tool_choice(data),
        stream=fields.flag(data, "stream") or False,
        max_tokens=_max_tokens(data),
        reasoning=read_reasoning(data),
        response_format=_response_format(data),
        parameters=read_parameters(data),
        unknown={name: value for name, value in data.items() if name not in _KNOWN},
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
        preset=fields.text(data, "preset", most=100),
        input_bytes=input_bytes,
    )


_KNOWN: Final = OWN | READ | CARRIED | FLAGS | NUMBERS.keys() | INTEGERS.keys()


def read_object(body: bytes) -> dict[str, Json]:
    """The JSON object in the body, or a 400 that says why there is none."""
    if body.startswith(GZIP):
        raise InvalidRequest("The body is compressed: send it as it is, without Content-Encoding.")
    try:
        data = orjson.loads(body.removeprefix(BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(data, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return data


def _messages(data: Mapping[str, Json]) -> tuple[Message, ...]:
    messages = data.get("messages")
    if messages is None and isinstance(data.get("prompt"), str):
        messages = [{"role": "user", "content": data["prompt"]}]
    if not isinstance(messages, list) or not messages:
        raise fields.wrong("messages", "must be a non-empty array")
    if len(messages) > MAX_MESSAGES:
        raise fields.wrong("messages", f"has more than {MAX_MESSAGES} entries")
    return tuple(read_message(message, f"messages[{i}]") for i, message in enumerate(messages))


def _tools(data: Mapping[str, Json]) -> tuple[ToolSpec, ...]:
    tools = data.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise fields.wrong("tools", f"must be an array of at most {MAX_TOOLS} tools")
    return tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))


def _tool(tool: Json, where: str) -> ToolSpec:
    kind = tool.get("type", "function") if isinstance(tool, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise fields.wrong(
            f"{where}.type", f'must be "function": tools that are run for the model, such as {kind[:60]}, are not here'
        )
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or kind != "function":
        raise fields.wrong(where, 'must be {"type": "function", "function": {"name": …}}')
    name = function.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 128:
        raise fields.wrong(f"{where}.function.name", "must be a name of 1 to 128 characters")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise fields.wrong(f"{where}.function.parameters", "must be a JSON schema object")
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise fields.wrong(f"{where}.function.description", "must be a string")
    strict = function.get("strict")
    mark = tool.get("cache_control")
    extra = {"cache_control": mark} if isinstance(mark, dict) else {}
    return ToolSpec(name, description, parameters, strict if isinstance(strict, bool) else None, extra)


def _tool_choice(data: Mapping[str, Json]) -> Json:
    choice = data.get("tool_choice")
    if choice == "any":  # Mistral's clients speak this dialect, with their own word for it
        return "required"
    if choice is None or choice in ("auto", "none", "required"):
        return choice
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict) and choice["function"].get("name"):
        return {"type": "function", "function": {"name": choice["function"]["name"]}}
    raise fields.wrong("tool_choice", 'must be "auto", "none", "required" or name a function')


def _max_tokens(data: Mapping[str, Json]) -> int | None:
    newer = fields.integer(data, "max_completion_tokens", least=1)
    older = fields.integer(data, "max_tokens", least=1)
    return newer if newer is not None else older


def read_reasoning(data: Mapping[str, Json]) -> ReasoningWish | None:
    """How much is to be thought, from `reasoning` or `reasoning_effort`; None where neither is given."""
    wish, effort = data.get("reasoning"), data.get("reasoning_effort")
    shown = fields.flag(data, "include_reasoning")  # what there was before `reasoning`
    if wish is None and effort is None and shown is None:
        return None
    if wish is None:
        wish = {} if shown is None else {"exclude": not shown}
    if not isinstance(wish, dict):
        raise fields.wrong("reasoning", "must be an object")
    effort = wish.get("effort", effort)
    if effort is not None and (not isinstance(effort, str) or effort not in EFFORTS):
        raise fields.wrong("reasoning.effort", f"must be one of {', '.join(sorted(EFFORTS))}")
    return ReasoningWish(
        effort=effort,
        max_tokens=fields.integer(wish, "max_tokens", least=1, where="reasoning.max_tokens"),
        exclude=fields.flag(wish, "exclude", where="reasoning.exclude") or False,
        enabled=fields.flag(wish, "enabled", where="reasoning.enabled"),
    )


def _response_format(data: Mapping[str, Json]) -> Mapping[str, Json] | None:
    wanted = data.get("response_format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or not isinstance(wanted.get("type"), str):
        raise fields.wrong("response_format", 'must be an object with a "type"')
    if wanted["type"] == "json_schema" and not isinstance(wanted.get("json_schema"), dict):
        raise fields.wrong("response_format.json_schema", "must be an object with the schema")
    return None if wanted["type"] == "text" else wanted


def read_parameters(data: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters by canonical name, checked where every provider reads them alike."""
    found: dict[str, Json] = {}
    for name, value in data.items():
        if value is None:
            continue
        if name in NUMBERS:
            least, most = NUMBERS[name]
            found[name] = fields.number(data, name, least=least, most=most)
        elif name in INTEGERS:
            low, high = INTEGERS[name]
            found[name] = fields.integer(data, name, least=low, most=high)
        elif name in FLAGS:
            found[name] = fields.flag(data, name)
        elif name in CARRIED:
            found[name] = value
    stop = data.get("stop")
    if stop is not None:
        found["stop"] = [stop] if isinstance(stop, str) else list(fields.texts(data, "stop", most=16))
    return found
