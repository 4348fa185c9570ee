"""Admitting a request: who could serve it, what it may cost at most, and that money set aside, in one database hop."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import transaction

from billing.services import allowances, budgets, holds, ledger
from execution.models import IdempotencyKey
from execution.services import idempotency
from marketplace.lib import env, ids
from marketplace.lib.errors import AppError, InvalidRequest, PaymentRequired
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey
from marketplace.services.guardrails import Policy, policy_of
from marketplace.services.keys import Caller
from routing.canonical import ChatRequest, Routed
from routing.models import Generation
from routing.selection.candidates import Candidate, Need
from routing.selection.plan import Attempt
from routing.selection.prefixes import UNSEEN, Prefixes
from routing.services import guards, once, own_keys, presets, unserved
from routing.services.health import HEALTH, prompt_of
from routing.services.naming import meant, unknown_model
from routing.services.routes import Route, routes

CHAT: Final = "chat"
HOLD_FOR: Final = dt.timedelta(hours=1)
MAX_ATTEMPTS: Final = 8
# Tokens of an answer whose request sets no cap; sent to the provider as the cap.
DEFAULT_MAX_TOKENS: Final = env.integer("DEFAULT_MAX_TOKENS", 4_096, minimum=1)


Q = TypeVar("Q", bound=Routed)


@dataclass(frozen=True, slots=True)
class Try:
    """An endpoint to try, and the cap on its answer that the reservation covers."""

    route: Route
    max_tokens: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that may run: its id, its hold, and the endpoints to try in order."""

    generation_id: UUID
    account_id: int
    hold_id: UUID
    need: Need
    tries: tuple[Try, ...]
    request: Routed  # as its guardrails let it through
    policy: Policy  # those guardrails
    operation: str = CHAT
    is_streamed: bool = False
    prompt: Prefixes = UNSEEN
    is_fixed: bool = False  # the caller's own order, which is not chosen again after a failure
    choice: Mapping[str, Any] = field(default_factory=dict)


def admit(
    *, caller: Caller, request: Q, need_of: Callable[[Q], Need], operation: str = CHAT, streamed: bool = False,
    endpoint_id: int | None = None,
) -> Admission:  # fmt: skip
    """Choose (only `endpoint_id`, if given), reserve and record. `operation` is also the kind of hold and charge.

    Raises InvalidRequest for an unknown model, Forbidden for what a guardrail refuses, NotFound when no endpoint
    fits (with the reason of each), PaymentRequired when the wallet or the key's limit covers none; Conflict and
    Unprocessable as `once.begun` does. What is refused leaves its Idempotency-Key free.
    """
    name = once.begun(caller)
    try:
        return _on_preset(
            partial(_admit, caller=caller, need_of=need_of, operation=operation, streamed=streamed, name=name),
            caller=caller, request=request, endpoint_id=endpoint_id,
        )  # fmt: skip
    except AppError:
        if name is not None:
            idempotency.forget(row=name)
        raise


def _on_preset(
    admitted: Callable[..., Admission], *, caller: Caller, request: Routed, endpoint_id: int | None
) -> Admission:
    if not isinstance(request, ChatRequest):
        return admitted(request=request, endpoint_id=endpoint_id)
    laid = presets.applied(request, account_id=caller.account_id)
    try:
        return admitted(request=laid.request, endpoint_id=endpoint_id)
    except AppError as error:
        raise laid.explained(error) from error.__cause__


def _admit(
    *, caller: Caller, request: Q, need_of: Callable[[Q], Need], operation: str, streamed: bool,
    endpoint_id: int | None, name: IdempotencyKey | None,
) -> Admission:  # fmt: skip
    if not request.wanted_models:
        raise InvalidRequest("'model' must name a model, such as publisher/model.", metadata={"field": "model"})
    policy = policy_of(key_id=caller.key_id, account_id=caller.account_id)
    request = guards.screened(request, policy)
    need = need_of(request)
    named = meant(
        names=request.wanted_models, account_id=caller.account_id, request=request, need=need,
        admits=policy.admits_model,
    )  # fmt: skip
    models = named.models
    if not models and named.refused:
        policy.require_model(named.refused[0])
    if not models:
        raise unknown_model(request.wanted_models, account_id=caller.account_id)
    groups = own_keys.joined(guards.narrowed(routes(models, operation=operation), policy), caller=caller)
    if endpoint_id is not None:
        groups = [[route for route in group if route.candidate.endpoint_id == endpoint_id] for group in groups]
    by_endpoint = {route.candidate.endpoint_id: route for group in groups for route in group}
    generation_id = ids.uuid7()
    prompt = UNSEEN
    if isinstance(request, ChatRequest):
        prompt = prompt_of(account_id=caller.account_id, model=next(iter(models)), request=request)
    chosen = HEALTH.plan(
        groups=[[route.candidate for route in group] for group in groups],
        need=need,
        preferences=own_keys.wishes(request.preferences, by_endpoint),
        seed=str(generation_id),
        prompt=prompt,
        variants=named.variants,
    )
    if not chosen.attempts:
        error = unserved.nothing_fits(
            list(models), need, chosen.excluded, account_id=caller.account_id, for_free=named.strategy == "free"
        )
        told = unserved.untried(request.wanted_models[0], strategy=named.strategy, excluded=chosen.excluded)
        error.offered = {"openrouter_metadata": told}
        raise error
    chosen = own_keys.ordered(chosen, request.preferences, by_endpoint)
    attempts = {attempt.candidate.endpoint_id: attempt for attempt in chosen.attempts[:MAX_ATTEMPTS]}
    is_fixed = chosen.is_fixed or any(route.is_own for route in by_endpoint.values())
    candidates = [one.candidate for one in attempts.values()]
    hold_id, caps = _reserve(
        caller, request, need, candidates, generation_id, operation=operation, streamed=streamed, name=name
    )
    tries = tuple(Try(by_endpoint[one.endpoint_id], cap, attempts[one.endpoint_id]) for one, cap, _ in caps)
    return Admission(
        generation_id, caller.account_id, hold_id, need, tries, request, policy,
        operation=operation, is_streamed=streamed, prompt=prompt,
        is_fixed=is_fixed, choice=chosen.record() | {
            "strategy": named.strategy, "reason": named.reason, "unknown": [name[:200] for name in named.unknown[:20]],
        },
    )  # fmt: skip


def _reserve(
    caller: Caller,
    request: Routed,
    need: Need,
    candidates: Sequence[Candidate],
    generation_id: UUID,
    *,
    operation: str,
    streamed: bool,
    name: IdempotencyKey | None,
) -> tuple[UUID, list[tuple[Candidate, int, int]]]:
    """Hold the most that any endpoint to be tried can cost; those beyond what is affordable are not tried."""
    free = None if need.max_tokens is not None else _free(caller)
    for _ in range(3):
        caps = _caps(candidates, need, free)
        if not caps:
            break
        amount = max(bound for _, _, bound in caps)
        try:
            with transaction.atomic():
                hold = holds.place(
                    account_id=caller.account_id,
                    key_id=caller.key_id,
                    amount_nano=amount,
                    kind=operation,
                    reference=str(generation_id),
                    expires_in=HOLD_FOR,
                )
                Generation.objects.create(
                    id=generation_id,
                    account_id=caller.account_id,
                    key_id=caller.key_id,
                    hold_id=hold.pk,
                    requested_model=request.model[:200],
                    operation=operation,
                    streamed=streamed,
                    session_id=request.session_id or "",
                    input_tokens=max(1, need.input_estimate),
                    units=dict(need.units),
                )
                if name is not None:
                    idempotency.complete(row=name, result=str(generation_id))
        except (holds.InsufficientCredit, holds.KeyLimitExceeded, allowances.AllowanceExceeded):
            free = _free(caller)  # less than it was, or not looked at yet: perhaps a cheaper endpoint is covered
            continue
        return hold.pk, caps
    raise _cannot_afford(caller, candidates, need)


def _free(caller: Caller) -> int:
    return holds.affordable(account_id=caller.account_id, key_id=caller.key_id)


def _caps(candidates: Sequence[Candidate], need: Need, free: int | None) -> list[tuple[Candidate, int, int]]:
    """(candidate, cap on its answer, the most it can cost) for each that is affordable."""
    found: list[tuple[Candidate, int, int]] = []
    for candidate in candidates:
        cap = need.max_tokens
        if cap is None:
            room = candidate.context_length - need.input_estimate
            cap = min(candidate.most_output(), max(1, room), DEFAULT_MAX_TOKENS)
            if free is not None:
                cap = min(cap, candidate.tokens_for(free, input_tokens=need.input_bound, units=need.units))
            if cap < 1:
                continue
        bound = candidate.bound(input_tokens=need.input_bound, max_tokens=cap, units=need.units)
        if free is None or bound <= free:
            found.append((candidate, cap, bound))
    return found


def _require_of_key(caller: Caller, amount_nano: int) -> None:
    """Raise KeyLimitExceeded where the key's own limit, not the wallet, is what does not cover an amount."""
    key = None if caller.key_id is None else ApiKey.objects.get(pk=caller.key_id)
    left = None if key is None else budgets.remaining(key)
    if key is not None and left is not None and left < amount_nano <= ledger.wallet_of(caller.account_id).free_nano:
        raise holds.KeyLimitExceeded(needed_nano=amount_nano, left_nano=left, reset=key.limit_reset)


def _cannot_afford(caller: Caller, candidates: Sequence[Candidate], need: Need) -> PaymentRequired:
    free = _free(caller)
    asked = 1 if need.max_tokens is None else need.max_tokens
    cheapest = min(c.bound(input_tokens=need.input_bound, max_tokens=asked, units=need.units) for c in candidates)
    allowances.require(account_id=caller.account_id, key_id=caller.key_id, amount_nano=cheapest)
    _require_of_key(caller, cheapest)
    if need.max_tokens == 0:  # no answer in tokens that could be shorter
        return PaymentRequired(
            f"This request requires more credits: it needs up to ${format_usd(cheapest)} held and ${format_usd(free)} "
            "is free. Add credit on the credits page.",
            metadata={"needed_usd": format_usd(cheapest), "available_usd": format_usd(free)},
        )
    if all(candidate.is_by_time for candidate in candidates):
        seconds = min(candidate.most_ms for candidate in candidates) // 1_000
        return PaymentRequired(
            "This request requires more credits: it is charged by the time that it runs, up to "
            f"${format_usd(cheapest)} is held for the {seconds} seconds that it may take, and ${format_usd(free)} "
            "is free.",
            metadata={"needed_usd": format_usd(cheapest), "available_usd": format_usd(free)},
        )
    most = max(c.tokens_for(free, input_tokens=need.input_bound, units=need.units) for c in candidates)
    afford = min(most, asked)
    way_out = ", or fewer max_tokens" if afford else ""
    wish = "You" if need.max_tokens is None else f"You requested up to {asked} tokens, but"
    return PaymentRequired(
        f"This request requires more credits{way_out}: it needs up to ${format_usd(cheapest)} held and "
        f"${format_usd(free)} is free. {wish} can only afford {afford} tokens of an answer. "
        "Add credit on the credits page.",
        metadata={"needed_usd": format_usd(cheapest), "available_usd": format_usd(free), "affordable_tokens": afford},
    )
