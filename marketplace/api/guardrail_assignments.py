"""Whom guardrails bind, through the management API: keys and members are assigned and taken away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Query, Router, Schema

from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.lib.errors import InvalidRequest
from marketplace.models import ApiKey, Guardrail, GuardrailKey, GuardrailMember, Member
from marketplace.services import guardrails, keys

router = Router()


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


@router.get("/guardrails/assignments/keys", response=KeyAssignments, summary="List all assigned keys")
def list_key_assignments(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The keys under any guardrail of the account."""
    return _key_page(request, page)


@router.get("/guardrails/assignments/members", response=MemberAssignments, summary="List all assigned members")
def list_member_assignments(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The members under any guardrail of the account."""
    return _member_page(request, page)


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
