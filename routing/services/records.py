"""Reading what was routed, for people: one generation, and why its provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from marketplace.lib import ids
from marketplace.lib.errors import NotFound
from routing.canonical import Usage
from routing.models import Attempt, Generation
from routing.selection import candidates
from routing.selection.choice import explain, replay

REASONS: Final = {
    "": "Answered",
    "rate_limited": "Too many requests for now",
    "unavailable": "Not available",
    "timeout": "Silent for too long",
    "cut": "Broke the connection",
    "malformed": "Sent what is no answer",
    "auth": "Refused our credentials",
    "credit": "Our credit there has run out",
    "not_found": "Does not know the model",
    "invalid": "Refused the request",
    "context_length": "Request longer than its context",
    "content_policy": "Refused the content",
    "refused_address": "Its address may not be called",
    Attempt.OUTRUN: "Slower than the other that was asked",
}


def generation(*, account_id: int, public_id: str) -> Generation:
    """A generation of the account by its public id or its UUID. Raises NotFound, also for a stranger's."""
    try:
        wanted = ids.parse_generation_id(public_id) if public_id.startswith("gen-") else UUID(public_id)
    except ValueError:
        raise NotFound(f"There is no generation {public_id[:80]}.") from None
    rows = Generation.objects.for_account(account_id).select_related("key", "provider")
    found = rows.filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"There is no generation {public_id[:80]}.")
    return found


def cache_discount(row: Generation) -> int | None:
    """What caching made it cheaper by, in nano-USD at the prices it was charged by; None where nothing was cached."""
    usage = Usage(
        row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens
    )
    return candidates.cache_discount(row.prices, usage, minute=ids.minute_of(row.pk))


def broke_off(attempt: Attempt) -> str:
    """Why an attempt's answer that had begun was not taken to its end by its provider; empty where it was."""
    if attempt.error_kind or attempt.generation.status != Generation.Status.FAILED:
        return ""
    return attempt.generation.error_kind


def reason(attempt: Attempt) -> str:
    """What came of an attempt, in words."""
    if broken := broke_off(attempt):
        return "Fell silent midway" if broken == "timeout" else "Broke off midway"
    said = REASONS.get(attempt.error_kind, attempt.error_kind.replace("_", " ").capitalize())
    return f"{said} ({attempt.status_code})" if attempt.error_kind and attempt.status_code else said


@dataclass(frozen=True, slots=True)
class Weighed:
    """One endpoint as the choice saw it: money in nano-USD, times in seconds, shares in percent."""

    provider: str
    model: str
    is_chosen: bool
    state: str
    cost_nano: int
    terms: Mapping[str, int]
    first_token_s: float
    late_percent: float
    failure_percent: float
    cached_tokens: int  # of the prompt, expected to be cached there


@dataclass(frozen=True, slots=True)
class Why:
    """Why a generation went where it went, from the record of its choice."""

    sentence: str
    seed: str
    replays: bool
    weighed: Sequence[Weighed]
    excluded: Sequence[Mapping[str, Any]]
    strategy: str
    reason: str
    unknown: Sequence[str]  # names that were asked for and are no models


OWN_ORDER: Final = "The caller's own keys, order or thresholds came before the expected cost."
WHYS: Final = {
    "cheapest": "It was expected to cost least, waiting and risk included.",
    "probe": "It had been failing and looked well again: one request is sent to see.",
    "exploration": "It had been idle and might be cheaper: a small share of requests looks at such endpoints.",
    "only": "It was the only endpoint that could serve the request.",
}
STATES: Final = ("open", "limited", "shut")


def why(found: Generation) -> Why | None:
    """The choice, weighed endpoint by endpoint, the best first; None where none was recorded.

    `replays` says whether the same choice follows from the record when it is made again.
    """
    record = found.choice.get("choice")
    if not record:
        return None
    weighed = [
        Weighed(
            provider=one["provider"],
            model=one["model"],
            is_chosen=one["is_chosen"],
            state=STATES[one["tier"]],
            cost_nano=round(one["cost"]),
            terms={name: round(nano) for name, nano in one["terms"].items()},
            first_token_s=one["parts"]["ttft"],
            late_percent=100 * one["parts"]["late"],
            failure_percent=100 * one["parts"]["odds"] / (1 + one["parts"]["odds"]),
            cached_tokens=one.get("cached", 0),
        )
        for one in explain(record)
    ]
    if found.choice["is_fixed"] or found.choice["order"][:1] != [record["chosen"]]:
        sentence = OWN_ORDER
    else:
        sentence = WHYS[record["why"]]
    return Why(
        sentence=sentence,
        seed=record["seed"],
        replays=replay(record) == record["chosen"],
        weighed=weighed,
        excluded=found.choice["excluded"],
        strategy=found.choice.get("strategy", ""),
        reason=found.choice.get("reason", ""),
        unknown=found.choice.get("unknown", ()),
    )
