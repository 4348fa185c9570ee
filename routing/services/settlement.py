"""Ending a generation exactly once: charged or released, with its row, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.models import Charge
from billing.rating import Part, Rated
from billing.services import holds
from marketplace.lib import ids
from routing.canonical import Usage
from routing.ingress.openai_chat_answers import Bill
from routing.models import Attempt, Generation
from routing.selection import candidates
from routing.services.routes import Route

PROMPT_UNITS: Final = frozenset({"prompt", "cached_read", "cached_write", "image"})
NOTHING: Final = Bill(Usage(), 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Tried:
    """One endpoint tried, for the record."""

    route: Route
    latency_ms: int
    error_kind: str = ""
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a generation ended."""

    status: Generation.Status
    tried: Sequence[Tried] = ()
    finish_reason: str = ""
    native_finish_reason: str = ""
    error_kind: str = ""
    latency_ms: int | None = None
    generation_ms: int | None = None
    delivered_bytes: int = 0
    choice: Mapping[str, Any] = field(default_factory=dict)


@transaction.atomic
def charge(
    *, generation_id: UUID, hold_id: UUID, route: Route, usage: Usage, units: Mapping[str, int], ending: Ending
) -> Bill | None:
    """Charge what was used, tokens and other units, at `route`'s prices; None when somebody else had ended it."""
    candidate = route.candidate
    minute = ids.minute_of(generation_id)
    rated = candidate.rated(usage, units=units, minute=minute)
    upstream = _upstream(route.list_prices, usage, units, minute)
    charged = _settle(
        hold_id=hold_id,
        rated=rated,
        usage=usage,
        units=units,
        minute=minute,
        costs=candidate.costs,
        provider_account_id=None if route.is_own else route.provider_account_id,
        labels={
            "model": candidate.model,
            "provider": candidate.provider,
            "endpoint": route.endpoint_id,
            "usage_source": usage.source,
            "tokens": _counts(usage),
            **_byok(upstream),
        },
    )
    if charged is None:
        return None
    _close(
        generation_id,
        ending,
        model=candidate.model,
        provider_id=route.provider_id,
        endpoint_id=route.endpoint_id,
        prices=candidate.prices,
        costs=candidate.costs,
        is_byok=route.is_own,
        upstream_nano=upstream or 0,
        list_prices=dict(route.list_prices or {}),
        cost_nano=charged.amount_nano,
        **({"units": dict(units)} if candidate.is_by_time else {}),
        **_tokens(usage),
    )
    return bill_of(usage, rated, charged.amount_nano, upstream_nano=upstream)


@transaction.atomic
def release(*, generation_id: UUID, hold_id: UUID, ending: Ending) -> bool:
    """Give the hold back: nothing was delivered. False when the generation had been ended by somebody else."""
    if not holds.release(hold_id=hold_id):
        return False
    _close(generation_id, ending)
    return True


@transaction.atomic
def sweep(generation: Generation, *, provider_account_id: int | None) -> Bill | None:
    """End a generation whose process is gone, from its last checkpoint: charged if anything had been delivered."""
    ending = Ending(Generation.Status.SWEPT, error_kind="swept", delivered_bytes=generation.delivered_bytes)
    if not generation.delivered_bytes or provider_account_id is None:
        if not release(generation_id=generation.pk, hold_id=generation.hold_id, ending=ending):
            _close(generation.pk, ending)  # the money had been seen to; the row had not
        return None
    usage = counted(input_tokens=generation.input_tokens, delivered_bytes=generation.delivered_bytes)
    minute = ids.minute_of(generation.pk)
    rated = candidates.rated(generation.prices, usage, units=generation.units, minute=minute)
    upstream = _upstream(generation.list_prices if generation.is_byok else None, usage, generation.units, minute)
    charged = _settle(
        hold_id=generation.hold_id,
        rated=rated,
        usage=usage,
        units=generation.units,
        minute=minute,
        costs=generation.costs,
        provider_account_id=None if generation.is_byok else provider_account_id,
        labels={
            "model": generation.model,
            "provider": generation.provider.slug if generation.provider else "",
            "endpoint": generation.endpoint_id,
            "usage_source": usage.source,
            "tokens": _counts(usage),
            **_byok(upstream),
        },
    )
    if charged is None:
        _close(generation.pk, ending)
        return None
    _close(
        generation.pk,
        ending,
        cost_nano=charged.amount_nano,
        upstream_nano=upstream or 0,
        units=generation.units,  # by which it was charged, should a checkpoint have come in between
        **_tokens(usage),
    )
    return bill_of(usage, rated, charged.amount_nano, upstream_nano=upstream)


@transaction.atomic
def suspend(*, generation_id: UUID, route: Route, ending: Ending) -> bool:
    """A provider works on it, and the hold stays open; False when the generation had been ended by somebody else."""
    candidate = route.candidate
    kept = Generation.objects.filter(pk=generation_id, status__in=Generation.LIVE).update(
        status=Generation.Status.WAITING,
        model=candidate.model,
        provider_id=route.provider_id,
        endpoint_id=candidate.endpoint_id,
        prices=dict(candidate.prices),
        costs=dict(candidate.costs),
        choice=ending.choice,
        latency_ms=ending.latency_ms,
    )
    if kept:
        _note_attempts(generation_id, ending)
    return bool(kept)


@transaction.atomic
def charge_suspended(generation: Generation) -> Bill | None:
    """Charge what a suspended generation was reserved for; None when it had been ended by somebody else."""
    usage = Usage()
    minute = ids.minute_of(generation.pk)
    rated = candidates.rated(generation.prices, usage, units=generation.units, minute=minute)
    provider = generation.provider
    if provider is None:  # deleted meanwhile: nobody is owed anything
        release(generation_id=generation.pk, hold_id=generation.hold_id, ending=Ending(Generation.Status.FAILED))
        return None
    charged = _settle(
        hold_id=generation.hold_id,
        rated=rated,
        usage=usage,
        units=generation.units,
        minute=minute,
        costs=generation.costs,
        provider_account_id=provider.account_id,
        labels={
            "model": generation.model,
            "provider": provider.slug,
            "endpoint": generation.endpoint_id,
            "usage_source": usage.source,
        },
    )
    if charged is None:
        return None
    ending = Ending(
        Generation.Status.FINISHED,
        choice=generation.choice,
        latency_ms=generation.latency_ms,
        generation_ms=round((timezone.now() - generation.created_at).total_seconds() * 1000),
    )
    _close(generation.pk, ending, cost_nano=charged.amount_nano, usage_source=usage.source)
    return bill_of(usage, rated, charged.amount_nano)


def counted(*, input_tokens: int, delivered_bytes: int) -> Usage:
    """The usage by our own count, where the provider's never came: four bytes a token, at least one each."""
    return Usage(max(1, input_tokens), max(1, -(-delivered_bytes // 4)), source="counted")


def bill_of(usage: Usage, rated: Rated, cost_nano: int, *, upstream_nano: int | None = None) -> Bill:
    """The bill as the caller sees it; input and output add up to the cost."""
    exact = sum(line.exact for line in rated.lines if line.unit in PROMPT_UNITS)
    prompt = min(cost_nano, (exact + 500_000) // 1_000_000)
    return Bill(usage, cost_nano, prompt, cost_nano - prompt, upstream_nano)


def _settle(
    *,
    hold_id: UUID,
    rated: Rated,
    usage: Usage,
    units: Mapping[str, int],
    minute: int,
    costs: Mapping[str, int],
    provider_account_id: int | None,
    labels: Mapping[str, Any],
) -> Charge | None:
    if provider_account_id is None:  # the provider bills the account itself; all of the fee is ours
        return holds.settle(hold_id=hold_id, rated=rated, labels=labels)
    if costs:
        cost = candidates.rated(costs, usage, units=units, minute=minute).amount_nano
        part = Part("provider_payable", provider_account_id, fixed_nano=cost)
    else:
        part = Part("provider_payable", provider_account_id, bps=settings.PROVIDER_SHARE_BPS)
    return holds.settle(hold_id=hold_id, rated=rated, parts=[part], labels=labels)


def _upstream(prices: Mapping[str, int] | None, usage: Usage, units: Mapping[str, int], minute: int) -> int | None:
    """What the provider bills the account itself by our prices, in nano-USD; None for shared capacity."""
    return None if prices is None else candidates.rated(prices, usage, units=units, minute=minute).amount_nano


def _byok(upstream_nano: int | None) -> dict[str, Any]:
    return {} if upstream_nano is None else {"byok": True, "upstream_nano": upstream_nano}


def _counts(usage: Usage) -> dict[str, int]:
    """What the charge says of the whole, before prices take parts out of it."""
    return {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "reasoning": usage.reasoning_tokens}


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_source": usage.source,
    }


def _close(generation_id: UUID, ending: Ending, **fields: Any) -> None:
    Generation.objects.filter(pk=generation_id, status__in=Generation.OPEN).update(
        status=ending.status,
        finish_reason=ending.finish_reason[:16],
        native_finish_reason=ending.native_finish_reason[:64],
        error_kind=ending.error_kind,
        latency_ms=ending.latency_ms,
        generation_ms=ending.generation_ms,
        delivered_bytes=ending.delivered_bytes,
        choice=ending.choice,
        finished_at=timezone.now(),
        **fields,
    )
    _note_attempts(generation_id, ending)


def _note_attempts(generation_id: UUID, ending: Ending) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            generation_id=generation_id,
            position=position,
            endpoint_id=tried.route.endpoint_id,
            is_byok=tried.route.is_own,
            provider_name=tried.route.candidate.provider_name,
            model=tried.route.candidate.model,
            error_kind=tried.error_kind,
            status_code=tried.status_code,
            latency_ms=tried.latency_ms,
        )
        for position, tried in enumerate(ending.tried)
    )
