"""Guardrails through the management API: made, changed, ended."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Query, Router, Schema, Status

from marketplace.api.amounts import Dollars, GivenDollars
from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.models import Account, Guardrail
from marketplace.services import guardrails

router = Router()

Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=guardrails.MAX_NAMES)]
# What callers name otherwise than the table does.
RENAMED = {"limit_usd": "limit_nano", "reset_interval": "limit_reset"}


class PatternFilter(Schema):
    """A pattern (RE2) to look for in inputs."""

    pattern: Annotated[str, Field(min_length=1)]
    action: str
    label: Annotated[str, Field(max_length=100)] | None = None


class BuiltinFilter(Schema):
    """Something known by name to look for in inputs: email, phone, ssn, credit-card, ip-address."""

    slug: str
    action: str
    label: Annotated[str, Field(max_length=100)] | None = None
    scan_scope: str | None = None


class GuardrailShape(Schema):
    """A guardrail."""

    id: UUID
    name: str
    description: str | None
    allowed_models: list[str] | None
    ignored_models: list[str]
    allowed_providers: list[str] | None
    ignored_providers: list[str]
    enforce_zdr: bool
    data_collection: str
    limit_usd: Dollars | None
    reset_interval: str | None
    content_filters: list[PatternFilter]
    content_filter_builtins: list[BuiltinFilter]
    include_byok_in_budgets: bool
    created_at: dt.datetime
    updated_at: dt.datetime | None
    workspace_id: str


class OneGuardrail(Schema):
    """One guardrail."""

    data: GuardrailShape


class ManyGuardrails(Schema):
    """A page of guardrails."""

    data: list[GuardrailShape]
    total_count: int


class GuardrailChange(Schema):
    """What is to change; what is left out stays."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    description: Annotated[str, Field(max_length=1000)] | None = None
    allowed_models: Names | None = None
    ignored_models: Names | None = None
    allowed_providers: Names | None = None
    ignored_providers: Names | None = None
    enforce_zdr: bool | None = None
    data_collection: Literal["allow", "deny"] = "allow"
    limit_usd: GivenDollars | None = None
    reset_interval: Literal["daily", "weekly", "monthly"] | None = None
    content_filters: Annotated[list[PatternFilter], Field(max_length=guardrails.MAX_FILTERS)] | None = None
    content_filter_builtins: Annotated[list[BuiltinFilter], Field(max_length=guardrails.MAX_FILTERS)] | None = None


class GuardrailToMake(GuardrailChange):
    """A guardrail to be made."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class Deleted(Schema):
    """It is gone."""

    deleted: bool = True


@router.get("/guardrails", response=ManyGuardrails, summary="List guardrails")
def list_guardrails(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The account's guardrails, by name."""
    rows = guardrails.listed(account_id=request.auth.account_id)
    return {
        "data": [_written(row) for row in rows[page.offset : page.offset + page.limit]],
        "total_count": len(rows),
    }


@router.post("/guardrails", response={201: OneGuardrail}, summary="Make a guardrail")
def create_guardrail(request: KeyedRequest, given: GuardrailToMake) -> Status[dict[str, Any]]:
    """Make a guardrail; it binds the keys and members that are then assigned to it."""
    account = Account.objects.get(pk=request.auth.account_id)
    return Status(201, {"data": _written(guardrails.create(account=account, values=_values(given)))})


@router.get("/guardrails/{uuid:id}", response=OneGuardrail, summary="One guardrail")
def get_guardrail(request: KeyedRequest, id: UUID) -> dict[str, Any]:
    """A guardrail by its id."""
    return {"data": _written(_find(request, id))}


@router.patch("/guardrails/{uuid:id}", response=OneGuardrail, summary="Change a guardrail")
def update_guardrail(request: KeyedRequest, id: UUID, given: GuardrailChange) -> dict[str, Any]:
    """Change what is given; it binds from the next request on."""
    return {"data": _written(guardrails.change(row=_find(request, id), values=_values(given)))}


@router.delete("/guardrails/{uuid:id}", response=Deleted, summary="Delete a guardrail")
def delete_guardrail(request: KeyedRequest, id: UUID) -> Deleted:
    """End a guardrail; its keys and members are free of it."""
    guardrails.delete(row=_find(request, id))
    return Deleted()


def _find(request: KeyedRequest, guardrail_id: UUID) -> Guardrail:
    return guardrails.find(account_id=request.auth.account_id, guardrail_id=guardrail_id)


def _values(given: GuardrailChange) -> dict[str, Any]:
    said = given.model_dump(exclude_unset=True)
    values = {RENAMED.get(name, name): value for name, value in said.items()}
    if "data_collection" in values:
        values["deny_data_collection"] = values.pop("data_collection") == "deny"
    # The reference lets null stand for "none" where the table has an empty value.
    empty: dict[str, Any] = {
        "description": "",
        "ignored_models": [],
        "ignored_providers": [],
        "enforce_zdr": False,
        "limit_reset": "",
        "content_filters": [],
        "content_filter_builtins": [],
    }
    return {name: empty[name] if value is None and name in empty else value for name, value in values.items()}


def _written(row: Guardrail) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "description": row.description or None,
        "allowed_models": row.allowed_models,
        "ignored_models": row.ignored_models,
        "allowed_providers": row.allowed_providers,
        "ignored_providers": row.ignored_providers,
        "enforce_zdr": row.enforce_zdr,
        "data_collection": "deny" if row.deny_data_collection else "allow",
        "limit_usd": row.limit_nano,
        "reset_interval": row.limit_reset or None,
        "content_filters": row.content_filters,
        "content_filter_builtins": row.content_filter_builtins,
        # A request with the account's own key draws on a budget by what it is charged: the fee.
        "include_byok_in_budgets": False,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "workspace_id": str(row.account_id),
    }
