"""What an adapter is: a pure translation between canonical types and one provider dialect's bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from routing.canonical import ChatRequest, Chunk, UpstreamError

Headers = tuple[tuple[str, str], ...]

Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the provider's base URL, its credentials, and the provider's own name of the model."""

    base_url: str
    upstream: str
    credentials: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, ready to send.

    `sign` gives the headers that depend on when it is sent (UTC); `hear` is told what the answer's headers say of
    the provider's rate limit, by lower-case name, whatever its status.
    """

    url: str
    headers: Headers
    body: bytes
    sign: Callable[[datetime], Headers] | None = None
    method: str = "POST"
    hear: Callable[[Mapping[str, str]], None] | None = None


class StreamParser(Protocol):
    """Reads one streamed answer. Raises UpstreamError(kind malformed, cut or what the provider says)."""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete."""

    def finish(self) -> list[Chunk]:
        """The chunks that the end of the body completes; raises UpstreamError(kind cut) for a body cut short."""

    @property
    def is_finished(self) -> bool:
        """Whether the provider marked the end, so that nothing more needs to be read."""


class Reader(Protocol[Answer]):
    """What the sender asks of whoever wrote a request: to read what comes back."""

    def parse_answer(self, body: bytes) -> Answer:
        """The whole answer. Raises UpstreamError(kind malformed or what the body says)."""

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refused request, understood. `headers` have lower-case names."""


class Exchange(Reader[Answer], Protocol[Request, Answer]):
    """One operation that is no chat in one provider dialect: a request, and its answer in one piece."""

    def build(self, request: Request, *, target: Target) -> HttpRequest:
        """The provider's request. Raises UpstreamError(retryable) for what the dialect cannot say."""


class LongExchange(Exchange[Request, Answer], Protocol[Request, Answer]):
    """An operation whose answer takes so long that a job is begun and asked after."""

    def build_look(self, upstream_id: str, *, target: Target) -> HttpRequest:
        """The question how a job stands; `parse_answer` reads its answer too."""

    def build_fetch(self, upstream_id: str, *, target: Target) -> HttpRequest:
        """The request for what the job has made."""


class Adapter(Protocol):
    """One provider dialect for chats."""

    kind: str

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request. `max_tokens` caps the answer: what was reserved for it."""

    def parse_answer(self, body: bytes) -> Chunk:
        """A plain answer as one chunk. Raises UpstreamError(kind malformed or what the body says)."""

    def stream_parser(self) -> StreamParser:
        """A reader for one streamed answer."""

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A refused request, understood. `headers` have lower-case names."""
