"""What an operation is: how its requests are bounded before the call, judged and measured after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from routing.canonical import ProviderPreferences, Routed, UpstreamError, Usage
from routing.selection.candidates import NO_UNITS, Need

Request = TypeVar("Request", bound=Routed, contravariant=True)
Answer = TypeVar("Answer", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What requests of every operation have: the model, fallbacks, and who may serve it."""

    model: str
    models: tuple[str, ...] = ()
    preferences: ProviderPreferences = field(default_factory=ProviderPreferences)
    session_id: str | None = None

    @property
    def wanted_models(self) -> tuple[str, ...]:
        """The model and its fallbacks, in order, each once."""
        return tuple(dict.fromkeys(name for name in (self.model, *self.models) if name))


@dataclass(frozen=True, slots=True)
class Used:
    """What a request is charged for: tokens, and other units by name."""

    usage: Usage
    units: Mapping[str, int] = field(default_factory=lambda: NO_UNITS)


class Operation(Protocol[Request, Answer]):
    """The rules of one operation. `name` is what records, holds and charges call it."""

    name: str

    def need(self, request: Request) -> Need:
        """What it needs of an endpoint, and the most that it can cost, in units."""

    def check(self, request: Request, answer: Answer) -> None:
        """Raises UpstreamError for an answer that is not what was asked for: another endpoint is tried."""

    def used(self, request: Request, answer: Answer) -> Used:
        """What is charged for it: the provider's count, or ours where it gave none."""


def short_of(what: str) -> UpstreamError:
    """The provider's answer is not what was asked for, to be raised."""
    return UpstreamError(what, kind="malformed", retryable=True)


def cannot(what: str) -> UpstreamError:
    """The dialect cannot say what is asked for, to be raised; another endpoint may."""
    return UpstreamError(what, kind="invalid", retryable=True)
