"""Guardrails through the management API: make, change, end, and assign to keys and members."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Query, Router, Schema, Status

from marketplace.api.amounts import Dollars, GivenDollars
from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account, ApiKey, Guardrail, GuardrailKey, GuardrailMember, Member
from marketplace.services import guardrails, keys

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


class KeysNamed(Schema):
    """Keys by their hashes."""

    key_hashes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1000)]


class MembersNamed(Schema):
    """Members by their users' ids."""

    member_user_ids: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1000)]


class Assigned(Schema):
    """How many are new under the guardrail."""

    assigned_count: int


class Unassigned(Schema):
    """How many were under the guardrail."""

    unassigned_count: int


class KeyAssignment(Schema):
    """A key under a guardrail."""

    id: UUID
    guardrail_id: UUID
    key_hash: str
    key_name: str
    key_label: str
    assigned_by: str | None
    created_at: dt.datetime


class KeyAssignments(Schema):
    """A page of assigned keys."""

    data: list[KeyAssignment]
    total_count: int


class MemberAssignment(Schema):
    """A member under a guardrail."""

    id: UUID
    guardrail_id: UUID
    organization_id: str
    user_id: str
    assigned_by: str | None
    created_at: dt.datetime


class MemberAssignments(Schema):
    """A page of assigned members."""

    data: list[MemberAssignment]
    total_count: int


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


@router.get("/guardrails/assignments/keys", response=KeyAssignments, summary="List all assigned keys")
def list_key_assignments(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The keys under any guardrail of the account."""
    return _key_page(request, page)


@router.get("/guardrails/assignments/members", response=MemberAssignments, summary="List all assigned members")
def list_member_assignments(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The members under any guardrail of the account."""
    return _member_page(request, page)


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


@router.get("/guardrails/{uuid:id}/assignments/keys", response=KeyAssignments, summary="List a guardrail's keys")
def list_guardrail_key_assignments(request: KeyedRequest, id: UUID, page: Query[Page]) -> dict[str, Any]:
    """The keys under a guardrail."""
    return _key_page(request, page, _find(request, id))


@router.post("/guardrails/{uuid:id}/assignments/keys", response=Assigned, summary="Assign keys")
def assign_keys(request: KeyedRequest, id: UUID, given: KeysNamed) -> dict[str, int]:
    """Put keys under a guardrail; a key has one, so that it leaves its former one."""
    row = _find(request, id)
    return {"assigned_count": guardrails.assign_keys(row=row, keys=_keys(request, given.key_hashes))}


@router.post("/guardrails/{uuid:id}/assignments/keys/remove", response=Unassigned, summary="Unassign keys")
def unassign_keys(request: KeyedRequest, id: UUID, given: KeysNamed) -> dict[str, int]:
    """Take keys from a guardrail."""
    row = _find(request, id)
    return {"unassigned_count": guardrails.unassign_keys(row=row, keys=_keys(request, given.key_hashes))}


@router.get(
    "/guardrails/{uuid:id}/assignments/members", response=MemberAssignments, summary="List a guardrail's members"
)
def list_guardrail_member_assignments(request: KeyedRequest, id: UUID, page: Query[Page]) -> dict[str, Any]:
    """The members under a guardrail."""
    return _member_page(request, page, _find(request, id))


@router.post("/guardrails/{uuid:id}/assignments/members", response=Assigned, summary="Assign members")
def assign_members(request: KeyedRequest, id: UUID, given: MembersNamed) -> dict[str, int]:
    """Put members under a guardrail: it binds every key that they made, and what they do in the portal."""
    row = _find(request, id)
    return {"assigned_count": guardrails.assign_members(row=row, members=_members(request, given.member_user_ids))}


@router.post("/guardrails/{uuid:id}/assignments/members/remove", response=Unassigned, summary="Unassign members")
def unassign_members(request: KeyedRequest, id: UUID, given: MembersNamed) -> dict[str, int]:
    """Take members from a guardrail."""
    row = _find(request, id)
    members = _members(request, given.member_user_ids)
    return {"unassigned_count": guardrails.unassign_members(row=row, members=members)}


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


def _keys(request: KeyedRequest, hashes: Sequence[str]) -> list[ApiKey]:
    return [keys.find_by_digest(account_id=request.auth.account_id, digest=one) for one in dict.fromkeys(hashes)]


def _members(request: KeyedRequest, user_ids: Sequence[str]) -> list[Member]:
    wanted = {int(one) for one in user_ids if one.isascii() and one.isdigit() and len(one) < 19}
    found = list(Member.objects.filter(account_id=request.auth.account_id, user_id__in=wanted))
    missing = [one for one in user_ids if one not in {str(member.user_id) for member in found}]
    if missing:
        raise InvalidRequest(
            f"{', '.join(missing[:5])[:200]}: no member of this account. GET /api/v1/organization/members lists them.",
            metadata={"field": "member_user_ids"},
        )
    return found


def _key_page(request: KeyedRequest, page: Page, row: Guardrail | None = None) -> dict[str, Any]:
    rows = GuardrailKey.objects.filter(guardrail__account_id=request.auth.account_id).select_related("key")
    if row is not None:
        rows = rows.filter(guardrail=row)
    data = [
        {
            "id": one.pk,
            "guardrail_id": one.guardrail_id,
            "key_hash": one.key.digest,
            "key_name": one.key.name,
            "key_label": one.key.label,
            "assigned_by": str(one.assigned_by_id) if one.assigned_by_id else None,
            "created_at": one.created_at,
        }
        for one in rows.order_by("pk")[page.offset : page.offset + page.limit]
    ]
    return {"data": data, "total_count": rows.count()}


def _member_page(request: KeyedRequest, page: Page, row: Guardrail | None = None) -> dict[str, Any]:
    rows = GuardrailMember.objects.filter(guardrail__account_id=request.auth.account_id).select_related("member")
    if row is not None:
        rows = rows.filter(guardrail=row)
    data = [
        {
            "id": one.pk,
            "guardrail_id": one.guardrail_id,
            "organization_id": str(request.auth.account_id),
            "user_id": str(one.member.user_id),
            "assigned_by": str(one.assigned_by_id) if one.assigned_by_id else None,
            "created_at": one.created_at,
        }
        for one in rows.order_by("pk")[page.offset : page.offset + page.limit]
    ]
    return {"data": data, "total_count": rows.count()}


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
