"""One request and one answer, as the gateway thinks of them: what every dialect is read into and written from.

Pure types. Ingress modules make requests out of callers' bytes, adapters make providers' bytes out of
requests; answers travel the other way as chunks. A plain answer is a single chunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

Json = Any  # a decoded JSON value that is carried along and not read
NOTHING: Final[Mapping[str, Json]] = {}

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `extra` holds marks that ride on the part, such as cache_control."""

    text: str
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by http(s) or data URL; `extra` holds detail and the like."""

    url: str
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound: base64 `data` with its format, or a URL."""

    data: str | None = None
    format: str | None = None
    url: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Video:
    """A film by URL or as a list of frames' URLs; `extra` holds sampling options."""

    url: str | None = None
    frames: tuple[str, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A document: base64 or data URL, a stored file's id, or a URL."""

    filename: str | None = None
    data: str | None = None
    file_id: str | None = None
    url: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asked for; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call gave; `is_error` where it failed. `extra` holds marks such as cache_control."""

    call_id: str
    parts: tuple["Text | Image | Audio | Video | File", ...]
    is_error: bool = False
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Earlier thoughts of the model; `details` are echoed untouched and in order.

    A detail is one of the reference's reasoning_details: {"type": "reasoning.text", "text", "signature"},
    {"type": "reasoning.encrypted", "data"} or {"type": "reasoning.summary", "summary"}, with its `format`.
    """

    text: str = ""
    details: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's words for declining."""

    text: str


Part = Text | Image | Audio | Video | File | ToolCall | ToolResult | Reasoning | Refusal


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: role system, developer, user, assistant or tool, with its parts in order."""

    role: str
    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function the model may call, with the JSON schema of its arguments; `extra` holds marks as on parts."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Json] | None = None
    strict: bool | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReasoningWish:
    """How much the model should think: an effort level or a budget in tokens."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool = False
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class ProviderPreferences:
    """The caller's wishes about who serves the request; `max_price` is nano-USD per million units, by unit."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    data_collection: str = "allow"
    zdr: bool = False
    distillable: bool = False  # only models whose authors let others learn from their texts
    quantizations: tuple[str, ...] = ()
    sort: str | None = None
    partition: str = "model"  # "none": sorted over all models asked for
    # Soft: endpoints beyond one of these go last. Percentile -> tokens a second, or seconds to the first token.
    least_throughput: Mapping[int, float] = field(default_factory=dict)
    most_latency: Mapping[int, float] = field(default_factory=dict)
    max_price: Mapping[str, int] = field(default_factory=dict)
    hedge: bool = False  # a second endpoint may be asked where the first takes unusually long


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat as asked for: `parameters` by canonical name, `unknown` the fields that we do not know."""

    model: str
    messages: tuple[Message, ...]
    models: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Json = None
    stream: bool = False
    max_tokens: int | None = None
    reasoning: ReasoningWish | None = None
    response_format: Mapping[str, Json] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    unknown: Mapping[str, Json] = field(default_factory=dict)
    preferences: ProviderPreferences = field(default_factory=ProviderPreferences)
    session_id: str | None = None
    preset: str | None = None  # a slug; `@preset/slug` in the model says the same
    input_bytes: int = 0  # of the caller's body: the bound of its input in tokens

    @property
    def wanted_models(self) -> tuple[str, ...]:
        """The model and its fallbacks, in order, each once."""
        return tuple(dict.fromkeys(name for name in (self.model, *self.models) if name))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts them. Cached tokens are part of the prompt, reasoning of the completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    source: Literal["provider", "counted"] = "provider"


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A piece of a tool call; `id` and `name` come with its first piece only."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer; of a plain answer the only one."""

    text: str = ""
    reasoning: str = ""
    reasoning_details: tuple[Mapping[str, Json], ...] = ()
    tool_calls: tuple[ToolDelta, ...] = ()
    refusal: str = ""
    extra: Mapping[str, Json] = field(default_factory=lambda: NOTHING)  # images, audio and annotations of the message
    logprobs: Json = None
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def has_content(self) -> bool:
        """Whether the caller receives anything of the model's in it."""
        return bool(
            self.text or self.reasoning or self.tool_calls or self.refusal or self.reasoning_details or self.extra
        )

    @property
    def delivered_bytes(self) -> int:
        """How much of the model's output it carries, in bytes: what our own count is made of."""
        size = len(self.text.encode()) + len(self.reasoning.encode()) + len(self.refusal.encode())
        return size + sum(len(call.arguments.encode()) + len(call.name or "") for call in self.tool_calls)


UpstreamKind = Literal[
    "invalid",
    "context_length",
    "content_policy",
    "auth",
    "credit",
    "not_found",
    "rate_limited",
    "unavailable",
    "timeout",
    "malformed",
    "cut",
    "refused_address",
]


class Routed(Protocol):
    """What the choice of an endpoint reads off a request, whatever it asks for."""

    @property
    def model(self) -> str:
        """The model as asked for."""

    @property
    def wanted_models(self) -> tuple[str, ...]:
        """The model and its fallbacks."""

    @property
    def preferences(self) -> ProviderPreferences:
        """Who may serve it."""

    @property
    def session_id(self) -> str | None:
        """The caller's word for what belongs together."""


class UpstreamError(Exception):
    """A provider's failure, understood. `retryable`: another endpoint may do better."""

    def __init__(
        self,
        message: str,
        *,
        kind: UpstreamKind,
        retryable: bool,
        status: int | None = None,
        retry_after: float | None = None,
        provider_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind: UpstreamKind = kind
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after
        self.provider_code = provider_code

    @property
    def is_callers(self) -> bool:
        """Whether the request itself is at fault, so that no endpoint is to blame."""
        return self.kind in {"invalid", "context_length", "content_policy"}
