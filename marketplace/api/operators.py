"""Providers of the account through the API: registered, fed by a listing or by hand, switched; what they have to tell.

Credentials go in and never come out: answers carry a fingerprint of each.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from ninja import Field, Query, Router, Schema, Status

from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.catalogue.form import Policy
from marketplace.models import Account, Notice, Provider
from marketplace.services import operators

router = Router()

Name = Annotated[str, Field(min_length=1, max_length=200)]
Url = Annotated[str, Field(min_length=1, max_length=500)]
ListingUrl = Annotated[str, Field(max_length=500)]
Credentials = Annotated[dict[str, Annotated[str, Field(max_length=20_000)]], Field(max_length=10)]


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


def _find(request: KeyedRequest, slug: str) -> Provider:
    return operators.find(account_id=request.auth.account_id, slug=slug)


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


def _notice(row: Notice) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "text": row.text,
        "provider": row.provider.slug,
        "endpoint_id": row.endpoint_id,
        "created_at": row.created_at,
    }
