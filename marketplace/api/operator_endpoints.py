"""Endpoints of the account's providers through the API: offered, probed, priced, switched."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import field_validator

from marketplace.api.management import KeyedRequest
from marketplace.api.operators import Name
from marketplace.api.paging import Page
from marketplace.catalogue.form import FullSlug, Modalities, Offer, Quantization, read_prices, write_price
from marketplace.models import Endpoint, Price
from marketplace.services import endpoints, operators, prices

router = Router()

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
EndpointId = Annotated[int, Path(ge=1, le=2**63 - 1)]
# As the catalogue file has them: decimal strings, dollars per million tokens or per single thing.
PriceTable = dict[str, str]


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


class PriceRow(Schema):
    """What one unit cost from a moment to another (null: still)."""

    unit: str
    price: str
    effective_from: dt.datetime
    effective_to: dt.datetime | None


class PriceHistory(Schema):
    """All prices of an endpoint, the newest first."""

    data: list[PriceRow]


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


@router.get("/operator/providers/{slug}/endpoints", response=ManyEndpoints, summary="List a provider's endpoints")
def list_endpoints(request: KeyedRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """The endpoints with their prices and what their probes showed."""
    rows = endpoints.of_provider(operators.find(account_id=request.auth.account_id, slug=slug))
    found = list(rows[page.offset : page.offset + page.limit])
    priced = prices.snapshots(endpoint_ids=[row.pk for row in found])
    return {
        "data": [_endpoint(row, priced.get(row.pk, {}).get(Price.Kind.PRICE, {})) for row in found],
        "total_count": rows.count(),
    }


@router.post("/operator/providers/{slug}/endpoints", response={201: OneEndpoint}, summary="Offer a model")
def create_endpoint(request: KeyedRequest, slug: str, given: EndpointToMake) -> Status[dict[str, Any]]:
    """Offer a model at this provider; it is probed within seconds and shown when it passes."""
    provider = operators.find(account_id=request.auth.account_id, slug=slug)
    endpoint = endpoints.offer(provider, Offer.model_validate(given.model_dump()))
    return Status(201, {"data": _with_prices(endpoint)})


@router.get("/operator/endpoints/{endpoint_id}", response=OneEndpoint, summary="One of your endpoints")
def get_endpoint(request: KeyedRequest, endpoint_id: EndpointId) -> dict[str, Any]:
    """An endpoint with its prices and what its probe showed."""
    return {"data": _with_prices(_find(request, endpoint_id))}


@router.patch("/operator/endpoints/{endpoint_id}", response=OneEndpoint, summary="Price or switch an endpoint")
def update_endpoint(request: KeyedRequest, endpoint_id: EndpointId, given: EndpointChange) -> dict[str, Any]:
    """New prices hold at once for new requests; enabling probes first."""
    endpoint = _find(request, endpoint_id)
    if "price" in given.model_fields_set:
        endpoints.reprice(endpoint, price=read_prices(given.price))
    if "disabled" in given.model_fields_set:
        (endpoints.disable if given.disabled else endpoints.enable)(endpoint)
    return {"data": _with_prices(_find(request, endpoint_id))}


@router.post("/operator/endpoints/{endpoint_id}/probe", response={202: OneEndpoint}, summary="Probe an endpoint")
def probe_endpoint(request: KeyedRequest, endpoint_id: EndpointId) -> Status[dict[str, Any]]:
    """Have it probed within seconds."""
    endpoints.ask_for_probe(_find(request, endpoint_id))
    return Status(202, {"data": _with_prices(_find(request, endpoint_id))})


@router.get("/operator/endpoints/{endpoint_id}/prices", response=PriceHistory, summary="An endpoint's prices over time")
def list_prices(request: KeyedRequest, endpoint_id: EndpointId) -> dict[str, Any]:
    """Every dated price."""
    rows = prices.history(endpoint_ids=[_find(request, endpoint_id).pk])
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


def _find(request: KeyedRequest, endpoint_id: int) -> Endpoint:
    return endpoints.find(account_id=request.auth.account_id, endpoint_id=endpoint_id)


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
