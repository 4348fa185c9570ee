"""An OpenAI-alike described as data: what it calls things, what it refuses, what it adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from routing.canonical import FinishReason, Json

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One row of the table of OpenAI-alikes. Names on the left are canonical, on the right the provider's."""

    kind: str
    path: str = "/chat/completions"  # {upstream} and {api_version} stand for the model and the version
    api_version: str = ""  # unless the credentials name another
    key_header: str | None = None  # the header that takes the bare key, where it is not `authorization: Bearer`
    excluded: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaulted: Mapping[str, Json] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    passes_unknown: bool = False  # unknown fields of the caller go on to the provider
    asks_for_usage: bool = True  # stream_options.include_usage, where usage does not come by itself
    finish_reasons: Mapping[str, FinishReason] = field(default_factory=dict)  # beyond FINISH_REASONS
    failed_finishes: frozenset[str] = frozenset()  # finish reasons that are a provider's failure
    completion_excludes_reasoning: bool = False  # its completion_tokens leave the thoughts out
    has_developer_role: bool = False
    takes_names: bool = True  # messages[].name
    takes_strict_tools: bool = True
    tool_choices: Mapping[str, str] = field(default_factory=dict)
    tool_id_length: int | None = None  # ids of tool calls: exactly so many letters and digits
    part_marks: frozenset[str] = frozenset({"detail"})  # marks on parts that it knows
    has_breakpoints: bool = False  # OpenAI's own cache marks, on parts
    has_document_parts: bool = False  # document_url in place of `file`
    has_plain_sound: bool = False  # input_audio is the base64 or the address itself
    has_sound_urls: bool = False  # input_audio.data is an address or a data URL
    reasoning_field: str | None = None  # where an assistant message echoes its thoughts
    effort_field: str | None = "reasoning_effort"
    efforts: Mapping[str, str] = field(default_factory=dict)  # where its levels have other names
    thinking_switch: str | None = None  # a boolean field that turns thinking on
    thinking_budget: str | None = None  # a field for the budget in tokens
