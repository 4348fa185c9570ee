"""Who belongs to the account, through the management API."""

from __future__ import annotations

from typing import Any

from ninja import Query, Router, Schema

from marketplace.api.management import KeyedRequest
from marketplace.api.paging import Page
from marketplace.models import Member

router = Router()


class MemberShape(Schema):
    """A member; `role` is org:admin for those who may manage."""

    id: str
    email: str
    first_name: str | None
    last_name: str | None
    role: str


class ManyMembers(Schema):
    """A page of members."""

    data: list[MemberShape]
    total_count: int


@router.get("/organization/members", response=ManyMembers, summary="List the account's members")
def list_members(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The members, the oldest first."""
    rows = Member.objects.filter(account_id=request.auth.account_id).select_related("user").order_by("pk")
    return {
        "data": [_written(row) for row in rows[page.offset : page.offset + page.limit]],
        "total_count": rows.count(),
    }


def _written(member: Member) -> dict[str, Any]:
    user = member.user
    return {
        "id": str(user.pk),
        "email": user.email,
        "first_name": user.first_name or None,
        "last_name": user.last_name or None,
        "role": "org:admin" if member.can_manage else "org:member",
    }
