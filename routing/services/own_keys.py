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


def ordered(plan: Plan, by_endpoint: Mapping[int, Route]) -> tuple[Attempt, ...]:
    """Within each model: own keys in their order, then what all share as planned, then own keys kept for after.

    Without own keys it stays as planned, also where endpoints of several models were sorted as one.
    A key that is shut off at the moment, such as one that its provider has refused, waits until all else was tried.
    """
    if not any(route.is_own for route in by_endpoint.values()):
        return plan.attempts
    models = {name: place for place, name in reversed([*enumerate(one.candidate.model for one in plan.attempts)])}
    shut = plan.shut

    def place(one: Attempt) -> tuple[int, bool, tuple[int, int]]:
        route = by_endpoint[one.candidate.endpoint_id]
        return models[one.candidate.model], route.is_own and one.candidate.endpoint_id in shut, route.place

    return tuple(sorted(plan.attempts, key=place))


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
