"""Providers of the account through the API: registered, fed by a listing or by hand, probed, priced, switched.

Credentials go in and never come out: answers carry a fingerprint of each.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import field_validator

from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.catalogue.form import FullSlug, Modalities, Offer, Policy, Quantization, read_prices, write_price
from marketplace.models import Account, Endpoint, Notice, Price, Provider
from marketplace.services import endpoints, operators, prices

router = Router()

Name = Annotated[str, Field(min_length=1, max_length=200)]
Url = Annotated[str, Field(min_length=1, max_length=500)]
ListingUrl = Annotated[str, Field(max_length=500)]
Credentials = Annotated[dict[str, Annotated[str, Field(max_length=20_000)]], Field(max_length=10)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
EndpointId = Annotated[int, Path(ge=1, le=2**63 - 1)]
# As the catalogue file has them: decimal strings, dollars per million tokens or per single thing.
PriceTable = dict[str, str]


class ProviderShape(Schema):
    """A provider, without its secrets."""

    slug: str
    name: str
    dialect: str
    base_url: str
    credentials: dict[str, str]
    policy: dict[str, Any]
    is_active: bool
    listing_url: str | None
    listing_fetched_at: dt.datetime | None
    listing_error: str | None
    listing_problems: list[dict[str, str]]
    endpoints: int
    live_endpoints: int
    created_at: dt.datetime


class OneProvider(Schema):
    """One provider."""

    data: ProviderShape


class ManyProviders(Schema):
    """The account's providers."""

    data: list[ProviderShape]


class EndpointShape(Schema):
    """An endpoint; `status` is live, or why it is hidden; `probe` is what the last probe showed."""

    id: int
    model: str
    upstream: str
    status: str
    context_length: int
    max_output: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    parameters: list[str]
    quantization: str
    price: PriceTable
    claim: dict[str, Any]
    probe: dict[str, Any] | None
    from_listing: bool
    misses: int


class OneEndpoint(Schema):
    """One endpoint."""

    data: EndpointShape


class ManyEndpoints(Schema):
    """A page of endpoints."""

    data: list[EndpointShape]
    total_count: int


class NoticeShape(Schema):
    """Something the operator should know."""

    kind: str
    text: str
    provider: str
    endpoint_id: int | None
    created_at: dt.datetime


class ManyNotices(Schema):
    """A page of notices."""

    data: list[NoticeShape]
    total_count: int


class PriceRow(Schema):
    """What one unit cost from a moment to another (null: still)."""

    unit: str
    price: str
    effective_from: dt.datetime
    effective_to: dt.datetime | None


class PriceHistory(Schema):
    """All prices of an endpoint, the newest first."""

    data: list[PriceRow]


class ProviderToMake(Schema):
    """A provider to be registered."""

    slug: Annotated[str, Field(min_length=1, max_length=64)]
    name: Name
    dialect: str
    base_url: Url
    credentials: Credentials = {}
    policy: Policy = Policy()
    listing_url: ListingUrl = ""


class ProviderChange(Schema):
    """What is to change; what is left out stays."""

    name: Name = ""
    dialect: str = ""
    base_url: Url = ""
    credentials: Credentials = {}
    policy: Policy = Policy()
    listing_url: ListingUrl = ""
    is_active: bool = True


class NewCredentials(Schema):
    """The credentials that take the place of the old."""

    credentials: Credentials


class EndpointToMake(Schema):
    """A model that the provider serves, with its prices."""

    model: FullSlug
    upstream: Name
    context_length: Count
    max_output: Count | None = None
    modalities: Modalities = Modalities()
    parameters: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)] = []
    quantization: Quantization = "unknown"
    price: PriceTable

    @field_validator("price")
    @classmethod
    def _priced(cls, given: PriceTable) -> PriceTable:
        read_prices(given)
        return given


class EndpointChange(Schema):
    """New prices (the whole table), or off and on."""

    price: PriceTable = {}
    disabled: bool = False

    @field_validator("price")
    @classmethod
    def _priced(cls, given: PriceTable) -> PriceTable:
        read_prices(given)
        return given


@router.get("/operator/providers", response=ManyProviders, summary="List your providers")
def list_providers(request: KeyedRequest) -> dict[str, Any]:
    """The providers that the account runs, by slug."""
    return {"data": [_provider(row) for row in operators.mine(account_id=request.auth.account_id)]}


@router.post("/operator/providers", response={201: OneProvider}, summary="Register a provider")
def register_provider(request: KeyedRequest, given: ProviderToMake) -> Status[dict[str, Any]]:
    """Register a provider; its models are hidden until their probes pass. Needs the operator role."""
    account = Account.objects.get(pk=request.auth.account_id)
    provider = operators.register(
        account=account,
        slug=given.slug,
        name=given.name,
        dialect=given.dialect,
        base_url=given.base_url,
        credentials=given.credentials,
        policy=given.policy,
        listing_url=given.listing_url,
    )
    return Status(201, {"data": _provider(operators.find(account_id=account.pk, slug=provider.slug))})


@router.get("/operator/providers/{slug}", response=OneProvider, summary="One of your providers")
def get_provider(request: KeyedRequest, slug: str) -> dict[str, Any]:
    """A provider with the state of its listing."""
    return {"data": _provider(_find(request, slug))}


@router.patch("/operator/providers/{slug}", response=OneProvider, summary="Change a provider")
def update_provider(request: KeyedRequest, slug: str, given: ProviderChange) -> dict[str, Any]:
    """Change what is said. A new base_url needs the credentials anew, and every endpoint is probed there."""
    said = {name: getattr(given, name) for name in given.model_fields_set}
    operators.change(_find(request, slug), **said)
    return {"data": _provider(_find(request, slug))}


@router.put("/operator/providers/{slug}/credentials", response=OneProvider, summary="Rotate credentials")
def rotate_credentials(request: KeyedRequest, slug: str, given: NewCredentials) -> dict[str, Any]:
    """Replace the credentials; the next request uses the new ones."""
    operators.rotate(_find(request, slug), credentials=given.credentials)
    return {"data": _provider(_find(request, slug))}


@router.post("/operator/providers/{slug}/refresh", response={202: OneProvider}, summary="Fetch the listing now")
def refresh_listing(request: KeyedRequest, slug: str) -> Status[dict[str, Any]]:
    """Have the listing fetched within seconds."""
    operators.refresh(_find(request, slug))
    return Status(202, {"data": _provider(_find(request, slug))})


@router.get("/operator/providers/{slug}/notices", response=ManyNotices, summary="What a provider has to tell")
def list_notices(request: KeyedRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """New models, price changes, probes and failures, the newest first."""
    rows = operators.notices(account_id=request.auth.account_id, provider=_find(request, slug))
    return {
        "data": [_notice(row) for row in rows[page.offset : page.offset + page.limit]],
        "total_count": rows.count(),
    }


@router.get("/operator/providers/{slug}/endpoints", response=ManyEndpoints, summary="List a provider's endpoints")
def list_endpoints(request: KeyedRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """The endpoints with their prices and what their probes showed."""
    rows = endpoints.of_provider(_find(request, slug))
    found = list(rows[page.offset : page.offset + page.limit])
    priced = prices.snapshots(endpoint_ids=[row.pk for row in found])
    return {
        "data": [_endpoint(row, priced.get(row.pk, {}).get(Price.Kind.PRICE, {})) for row in found],
        "total_count": rows.count(),
    }


@router.post("/operator/providers/{slug}/endpoints", response={201: OneEndpoint}, summary="Offer a model")
def create_endpoint(request: KeyedRequest, slug: str, given: EndpointToMake) -> Status[dict[str, Any]]:
    """Offer a model at this provider; it is probed within seconds and shown when it passes."""
    endpoint = endpoints.offer(_find(request, slug), Offer.model_validate(given.model_dump()))
    return Status(201, {"data": _with_prices(endpoint)})


@router.get("/operator/endpoints/{endpoint_id}", response=OneEndpoint, summary="One of your endpoints")
def get_endpoint(request: KeyedRequest, endpoint_id: EndpointId) -> dict[str, Any]:
    """An endpoint with its prices and what its probe showed."""
    return {"data": _with_prices(_find_endpoint(request, endpoint_id))}


@router.patch("/operator/endpoints/{endpoint_id}", response=OneEndpoint, summary="Price or switch an endpoint")
def update_endpoint(request: KeyedRequest, endpoint_id: EndpointId, given: EndpointChange) -> dict[str, Any]:
    """New prices hold at once for new requests; enabling probes first."""
    endpoint = _find_endpoint(request, endpoint_id)
    if "price" in given.model_fields_set:
        endpoints.reprice(endpoint, price=read_prices(given.price))
    if "disabled" in given.model_fields_set:
        (endpoints.disable if given.disabled else endpoints.enable)(endpoint)
    return {"data": _with_prices(_find_endpoint(request, endpoint_id))}


@router.post("/operator/endpoints/{endpoint_id}/probe", response={202: OneEndpoint}, summary="Probe an endpoint")
def probe_endpoint(request: KeyedRequest, endpoint_id: EndpointId) -> Status[dict[str, Any]]:
    """Have it probed within seconds."""
    endpoints.ask_for_probe(_find_endpoint(request, endpoint_id))
    return Status(202, {"data": _with_prices(_find_endpoint(request, endpoint_id))})


@router.get("/operator/endpoints/{endpoint_id}/prices", response=PriceHistory, summary="An endpoint's prices over time")
def list_prices(request: KeyedRequest, endpoint_id: EndpointId) -> dict[str, Any]:
    """Every dated price."""
    rows = prices.history(endpoint_ids=[_find_endpoint(request, endpoint_id).pk])
    return {
        "data": [
            {
                "unit": row.unit,
                "price": write_price(row.unit, row.nano_per_million),
                "effective_from": row.effective_from,
                "effective_to": row.effective_to,
            }
            for row in reversed(rows)
        ]
    }


def _find(request: KeyedRequest, slug: str) -> Provider:
    return operators.find(account_id=request.auth.account_id, slug=slug)


def _find_endpoint(request: KeyedRequest, endpoint_id: int) -> Endpoint:
    return endpoints.find(account_id=request.auth.account_id, endpoint_id=endpoint_id)


def _provider(row: Provider) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "name": row.name,
        "dialect": row.dialect,
        "base_url": row.base_url,
        "credentials": operators.fingerprints(row),
        "policy": row.policy,
        "is_active": row.is_active,
        "listing_url": row.listing_url or None,
        "listing_fetched_at": row.listing_fetched_at,
        "listing_error": row.listing_error or None,
        "listing_problems": row.listing_problems,
        "endpoints": getattr(row, "endpoint_count", 0),
        "live_endpoints": getattr(row, "live_count", 0),
        "created_at": row.created_at,
    }


def _with_prices(row: Endpoint) -> dict[str, Any]:
    return _endpoint(row, prices.snapshot(endpoint_id=row.pk))


def _endpoint(row: Endpoint, table: dict[str, int]) -> dict[str, Any]:
    return {
        "id": row.pk,
        "model": row.model.full_slug,
        "upstream": row.upstream,
        "status": "live" if row.is_active else row.hidden or "off",
        "context_length": row.context_length,
        "max_output": row.max_output,
        "input_modalities": row.input_modalities,
        "output_modalities": row.output_modalities,
        "parameters": row.parameters,
        "quantization": row.quantization,
        "price": {unit: write_price(unit, nano) for unit, nano in table.items()},
        "claim": row.claim,
        "probe": row.probe or None,
        "from_listing": row.from_listing,
        "misses": row.misses,
    }


def _notice(row: Notice) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "text": row.text,
        "provider": row.provider.slug,
        "endpoint_id": row.endpoint_id,
        "created_at": row.created_at,
    }
