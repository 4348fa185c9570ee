"""Accounts' own keys in the choice: copies of endpoints that are called with them and cost the fee alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import structlog
from django.conf import settings

from marketplace.lib import crypto
from marketplace.models import ProviderKey
from marketplace.services import provider_keys
from marketplace.services.keys import Caller
from routing.canonical import ProviderPreferences
from routing.selection.plan import Attempt, Plan
from routing.services.routes import Route

logger = structlog.get_logger(__name__)

ALL_BPS: Final = 10_000
SPACING: Final = 1_000_000_000  # more than there are endpoints


def joined(groups: Sequence[Sequence[Route]], *, caller: Caller) -> list[list[Route]]:
    """Each model's endpoints, and those that the caller's account may call with keys of its own once more."""
    keys = provider_keys.usable(account_id=caller.account_id, key_id=caller.key_id)
    if not keys:
        return [list(group) for group in groups]
    return [[*group, *_copies(group, keys)] for group in groups]


def wishes(preferences: ProviderPreferences, by_endpoint: Mapping[int, Route]) -> ProviderPreferences:
    """The preferences to plan by, to be followed by `ordered` with those that the caller gave.

    Among own keys nothing is left out while planning for want of fallbacks: the plan's first is the cheapest, and the
    one endpoint that is to be tried is the first with own keys.
    """
    return dataclasses.replace(preferences, allow_fallbacks=True) if _cuts(preferences, by_endpoint) else preferences


def ordered(plan: Plan, preferences: ProviderPreferences, by_endpoint: Mapping[int, Route]) -> Plan:
    """Within each model: own keys in their order, then what all share as planned, then own keys kept for after.

    Without own keys it stays as planned, also where endpoints of several models were sorted as one.
    A key that is shut off at the moment, such as one that its provider has refused, waits until all else was tried.
    Without fallbacks the first of each model is left, or where their endpoints were planned as one the first of all.
    """
    if not _has_own(by_endpoint):
        return plan
    models = {name: place for place, name in reversed([*enumerate(one.candidate.model for one in plan.attempts)])}
    shut = plan.shut

    def place(one: Attempt) -> tuple[int, bool, tuple[int, int]]:
        route = by_endpoint[one.candidate.endpoint_id]
        return models[one.candidate.model], route.is_own and one.candidate.endpoint_id in shut, route.place

    attempts = sorted(plan.attempts, key=place)
    if _cuts(preferences, by_endpoint):
        firsts = list({one.candidate.model: one for one in reversed(attempts)}.values())[::-1]
        attempts = firsts[:1] if preferences.partition == "none" else firsts
    return dataclasses.replace(plan, attempts=tuple(attempts))


def _has_own(by_endpoint: Mapping[int, Route]) -> bool:
    return any(route.is_own for route in by_endpoint.values())


def _cuts(preferences: ProviderPreferences, by_endpoint: Mapping[int, Route]) -> bool:
    # An order of the caller's own says itself which endpoints may be tried.
    return not (preferences.allow_fallbacks or preferences.order) and _has_own(by_endpoint)


def _copies(group: Sequence[Route], keys: Sequence[ProviderKey]) -> list[Route]:
    found: list[Route] = []
    for key in keys:
        for route in group:
            if route.provider_id != key.provider_id or not _serves(key, route.candidate.model):
                continue
            try:
                found.append(_copy(route, key))
            except crypto.WrongSecret:
                # The provider has moved since, or the key that encrypts was thrown away.
                logger.warning("provider_key_unreadable", provider_key=str(key.public_id))
    return found


def _copy(route: Route, key: ProviderKey) -> Route:
    fee = {unit: nano * settings.BYOK_FEE_BPS // ALL_BPS for unit, nano in route.candidate.prices.items()}
    # An id of its own: how a key does says nothing of the shared capacity, nor the other way round.
    candidate = dataclasses.replace(
        route.candidate, endpoint_id=-(key.pk * SPACING + route.endpoint_id), prices=fee, costs={}
    )
    return dataclasses.replace(
        route,
        candidate=candidate,
        target=dataclasses.replace(route.target, credentials=key.credentials()),
        list_prices=route.candidate.prices,
        place=(2 if key.is_fallback else 0, key.sort_order),
    )


def _serves(key: ProviderKey, model: str) -> bool:
    return key.allowed_models is None or any(model == one or fnmatchcase(model, one) for one in key.allowed_models)
