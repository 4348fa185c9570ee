"""Writing the catalogue back as a file that changes nothing when it is applied here. No secret is in it."""

from __future__ import annotations

from typing import Any

import yaml
from django.conf import settings
from django.db.models import Q

from marketplace import names
from marketplace.catalogue import margins
from marketplace.catalogue.form import write_price
from marketplace.lib.errors import Conflict
from marketplace.models import Endpoint, Model, Price, Provider
from marketplace.services import catalog, credentials, prices


def export(*, providers: frozenset[str] = frozenset()) -> str:
    """YAML of the active endpoints of these providers (all, unless some are named) and of their models.

    Credentials are written as `env:NAME` or `kept:FINGERPRINT`. Raises Conflict when some do not open any more.
    """
    rows = Provider.objects.select_related("account").exclude(slug__startswith=names.HOSTED).order_by("slug")
    if providers:
        rows = rows.filter(slug__in=providers)
    endpoints = list(
        Endpoint.objects.filter(provider__in=rows, is_active=True)
        # With a listing, what came from it is the provider's to say.
        .exclude(~Q(provider__listing_url=""), from_listing=True)
        .select_related("model__publisher")
        .order_by("model__publisher__slug", "model__slug", "upstream")
    )
    priced = prices.snapshots(endpoint_ids=[endpoint.pk for endpoint in endpoints])
    offers: dict[int, list[dict[str, Any]]] = {}
    for endpoint in endpoints:
        offers.setdefault(endpoint.provider_id, []).append(_offer(endpoint, priced.get(endpoint.pk, {})))
    told = {endpoint.model_id: endpoint.model for endpoint in endpoints}
    data = {
        "providers": [_provider(row, offers.get(row.pk, [])) for row in rows],
        "models": [_model(row) for row in told.values()],
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def _provider(row: Provider, offers: list[dict[str, Any]]) -> dict[str, Any]:
    said = credentials.told(row)
    if said is None:
        raise Conflict(f"The credentials of {row.slug} do not open with the configured keys: store them anew first.")
    optional = {
        "listing_url": row.listing_url,
        "credentials": said,
        "policy": row.policy,
        "account": None if row.account.slug == catalog.HOUSE_SLUG else row.account.slug,
        "simulated": row.is_simulated,
        "disabled": not row.is_active and not credentials.is_waiting(row),
    }
    return {
        "slug": row.slug,
        "name": row.name,
        "dialect": row.dialect,
        "base_url": row.base_url,
        **{name: value for name, value in optional.items() if value},
        "models": offers,
    }


def _offer(row: Endpoint, priced: dict[str, dict[str, int]]) -> dict[str, Any]:
    price, cost = priced.get(Price.Kind.PRICE, {}), priced.get(Price.Kind.COST, {})
    losing = margins.losing_units(prices=price, costs=cost, share_bps=settings.PROVIDER_SHARE_BPS)
    optional = {
        "max_output": row.max_output,
        "parameters": row.parameters,
        "cost": {unit: write_price(unit, nano) for unit, nano in cost.items()},
        "allow_loss": bool(losing),
    }
    return {
        "model": row.model.full_slug,
        "upstream": row.upstream,
        "context_length": row.context_length,
        "modalities": {"input": row.input_modalities, "output": row.output_modalities},
        "quantization": row.quantization,
        "price": {unit: write_price(unit, nano) for unit, nano in price.items()},
        **{name: value for name, value in optional.items() if value},
    }


def _model(row: Model) -> dict[str, Any]:
    optional = {"description": row.description, "example": row.is_example, "facts": row.facts}
    return {
        "model": row.full_slug,
        "name": row.name,
        "tokenizer": row.tokenizer,
        **{name: value for name, value in optional.items() if value},
    }
