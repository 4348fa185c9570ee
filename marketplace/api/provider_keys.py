"""Accounts' own keys at providers (BYOK) through the management API; a credential goes in and never comes out."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Query, Router, Schema, Status

from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.models import Account, ApiKey, ProviderKey
from marketplace.services import provider_keys

router = Router()

Listed = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=provider_keys.MAX_LISTED)
]
Secret = Annotated[str, Field(min_length=1, max_length=provider_keys.MAX_KEY)]


class ProviderKeyShape(Schema):
    """A provider key, without the key."""

    id: UUID
    provider: str
    name: str | None
    label: str
    disabled: bool
    is_fallback: bool
    sort_order: int
    allowed_models: list[str] | None
    allowed_api_key_hashes: list[str] | None
    allowed_user_ids: list[str] | None
    created_at: dt.datetime
    workspace_id: str


class OneProviderKey(Schema):
    """One provider key."""

    data: ProviderKeyShape


class ManyProviderKeys(Schema):
    """A page of provider keys."""

    data: list[ProviderKeyShape]
    total_count: int


class ProviderKeyChange(Schema):
    """What is to change; what is left out stays. `key` takes the old credential's place."""

    key: Secret | None = None
    name: Annotated[str, Field(max_length=255)] | None = None
    disabled: bool = False
    is_fallback: bool = False
    sort_order: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    allowed_models: Listed | None = None
    allowed_api_key_hashes: Listed | None = None
    allowed_user_ids: Listed | None = None


class ProviderKeyToKeep(ProviderKeyChange):
    """A provider key to be kept."""

    provider: Annotated[str, Field(min_length=1, max_length=64)]
    key: Secret


class Deleted(Schema):
    """It is gone."""

    deleted: bool = True


class Wanted(Page):
    """Which provider keys are wanted."""

    provider: Annotated[str, Field(max_length=64)] = ""


@router.get("/byok", response=ManyProviderKeys, summary="List provider keys")
def list_provider_keys(request: KeyedRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    """The account's own keys at providers, in the order in which they are tried."""
    rows = provider_keys.listed(account_id=request.auth.account_id, provider=wanted.provider)
    page = rows[wanted.offset : wanted.offset + wanted.limit]
    return {"data": [_written(row) for row in page], "total_count": len(rows)}


@router.post("/byok", response={201: OneProviderKey}, summary="Keep a provider key")
def create_provider_key(request: KeyedRequest, given: ProviderKeyToKeep) -> Status[dict[str, Any]]:
    """Keep a credential: requests that its provider serves go out with it from now on."""
    row = provider_keys.keep(
        account=Account.objects.get(pk=request.auth.account_id),
        provider=given.provider,
        key=given.key,
        by=ApiKey.objects.select_related("created_by").get(pk=request.auth.key_id).created_by,
        values=_values(given),
    )
    return Status(201, {"data": _written(row)})


@router.get("/byok/{uuid:id}", response=OneProviderKey, summary="One provider key")
def get_provider_key(request: KeyedRequest, id: UUID) -> dict[str, Any]:
    """A provider key by its id."""
    return {"data": _written(_find(request, id))}


@router.patch("/byok/{uuid:id}", response=OneProviderKey, summary="Change or rotate a provider key")
def update_provider_key(request: KeyedRequest, id: UUID, given: ProviderKeyChange) -> dict[str, Any]:
    """Change what is given; a new `key` is used from the next request on."""
    return {"data": _written(provider_keys.change(row=_find(request, id), values=_values(given), key=given.key))}


@router.delete("/byok/{uuid:id}", response=Deleted, summary="Delete a provider key")
def delete_provider_key(request: KeyedRequest, id: UUID) -> Deleted:
    """Wipe the credential for good."""
    provider_keys.forget(row=_find(request, id))
    return Deleted()


def _find(request: KeyedRequest, public_id: UUID) -> ProviderKey:
    return provider_keys.find(account_id=request.auth.account_id, public_id=public_id)


def _values(given: ProviderKeyChange) -> dict[str, Any]:
    said = given.model_dump(exclude_unset=True, exclude={"key", "provider"})
    return {name: "" if name == "name" and value is None else value for name, value in said.items()}


def _written(row: ProviderKey) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "provider": row.provider.slug,
        "name": row.name or None,
        "label": row.label,
        "disabled": row.disabled,
        "is_fallback": row.is_fallback,
        "sort_order": row.sort_order,
        "allowed_models": row.allowed_models,
        "allowed_api_key_hashes": row.allowed_api_key_hashes,
        "allowed_user_ids": row.allowed_user_ids,
        "created_at": row.created_at,
        "workspace_id": str(row.account_id),
    }
