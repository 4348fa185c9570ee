"""The account's API keys through the API, for keys with the management scope. Here because a key's spend is money."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from ninja import Field, Query, Router, Schema, Status

from billing.services import budgets, usage
from marketplace.api.amounts import Dollars, GivenDollars
from marketplace.api.management import KeyedRequest
from marketplace.api.paging import MOST
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account, ApiKey, User
from marketplace.services import keys

router = Router()

Reset = Literal["daily", "weekly", "monthly"]
Scope = Literal["inference", "management"]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class KeyShape(Schema):
    """A key, without the key."""

    hash: str
    name: str
    label: str
    disabled: bool
    scopes: list[str]
    limit: Dollars | None
    limit_remaining: Dollars | None
    limit_reset: str | None
    include_byok_in_limit: bool
    usage: Dollars
    usage_daily: Dollars
    usage_weekly: Dollars
    usage_monthly: Dollars
    byok_usage: Dollars
    byok_usage_daily: Dollars
    byok_usage_weekly: Dollars
    byok_usage_monthly: Dollars
    created_at: dt.datetime
    updated_at: dt.datetime | None
    expires_at: dt.datetime | None
    creator_user_id: str | None
    workspace_id: str


class OneKey(Schema):
    """One key."""

    data: KeyShape


class ManyKeys(Schema):
    """A page of keys."""

    data: list[KeyShape]
    total_count: int


class NewKey(Schema):
    """A key just made; `key` is shown here and never again."""

    data: KeyShape
    key: str


class Deleted(Schema):
    """It is gone."""

    deleted: bool = True


class KeyToMake(Schema):
    """A key to be made."""

    name: Name
    limit: GivenDollars | None = None
    limit_reset: Reset | None = None
    expires_at: dt.datetime | None = None
    creator_user_id: str | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=2)] = ["inference"]


class KeyChange(Schema):
    """What is to change; what is left out stays."""

    name: Name = ""
    disabled: bool = False
    limit: GivenDollars | None = None
    limit_reset: Reset | None = None


class KeysWanted(Schema):
    """Which keys are wanted."""

    offset: Annotated[int, Field(ge=0, le=2**31)] = 0
    include_disabled: bool = True


@router.get("/keys", response=ManyKeys, summary="List API keys")
def list_keys(request: KeyedRequest, wanted: Query[KeysWanted]) -> dict[str, Any]:
    """The account's keys, newest first, 100 at a time."""
    rows = [
        key for key in keys.listed(account_id=request.auth.account_id) if wanted.include_disabled or not key.disabled
    ]
    page = rows[wanted.offset : wanted.offset + MOST]
    return {"data": _shapes(request.auth.account_id, page), "total_count": len(rows)}


@router.post("/keys", response={201: NewKey}, summary="Make an API key")
def create_key(request: KeyedRequest, given: KeyToMake) -> Status[dict[str, Any]]:
    """Make a key. It is in this answer and nowhere else."""
    account = Account.objects.get(pk=request.auth.account_id)
    expires_at = given.expires_at
    if expires_at is not None and expires_at.tzinfo is None:
        raise InvalidRequest("'expires_at': say the time zone, such as 2027-01-31T00:00:00Z.")
    key, plaintext = keys.issue(
        account=account,
        name=given.name,
        created_by=_creator(account, given.creator_user_id),
        scopes=given.scopes,
        limit_nano=given.limit,
        limit_reset=given.limit_reset or ApiKey.Reset.NEVER,
        expires_at=expires_at,
    )
    return Status(201, {"data": _shape(key), "key": plaintext})


@router.get("/keys/{hash}", response=OneKey, summary="One API key")
def get_key(request: KeyedRequest, hash: str) -> dict[str, Any]:
    """A key by the SHA-256 of its text."""
    return {"data": _shape(keys.find_by_digest(account_id=request.auth.account_id, digest=hash))}


@router.patch("/keys/{hash}", response=OneKey, summary="Change an API key")
def update_key(request: KeyedRequest, hash: str, given: KeyChange) -> dict[str, Any]:
    """Change its name or limit, disable it or enable it again; it holds at once."""
    key = keys.find_by_digest(account_id=request.auth.account_id, digest=hash)
    said = given.model_fields_set
    limit = None
    if said & {"limit", "limit_reset"}:
        limit_nano = given.limit if "limit" in said else key.limit_nano
        limit = (limit_nano, (given.limit_reset or "") if "limit_reset" in said else key.limit_reset)
    changed = keys.change(
        account=key.account,
        key_id=key.pk,
        name=given.name if "name" in said else None,
        disabled=given.disabled if "disabled" in said else None,
        limit=limit,
    )
    return {"data": _shape(changed)}


@router.delete("/keys/{hash}", response=Deleted, summary="Delete an API key")
def delete_key(request: KeyedRequest, hash: str) -> Deleted:
    """End a key for good; what it spent stays in the account's usage."""
    key = keys.find_by_digest(account_id=request.auth.account_id, digest=hash)
    keys.delete(account=key.account, key_id=key.pk)
    return Deleted()


def _creator(account: Account, user_id: str | None) -> User | None:
    if user_id is None:
        return None
    is_number = user_id.isascii() and user_id.isdigit() and len(user_id) < 19
    member = account.members.filter(user_id=int(user_id)).select_related("user").first() if is_number else None
    if member is None:
        raise InvalidRequest(
            "'creator_user_id' must be the id of a member of this account: GET /api/v1/organization/members lists them."
        )
    return member.user


def _shape(key: ApiKey) -> dict[str, Any]:
    return _shapes(key.account_id, [key])[0]


def _shapes(account_id: int, rows: Sequence[ApiKey]) -> list[dict[str, Any]]:
    spent = usage.of_keys(account_id=account_id, key_ids=[key.pk for key in rows])
    byok = usage.byok_of_keys(account_id=account_id, key_ids=[key.pk for key in rows])
    left = budgets.remaining_by_key(rows)
    return [_written(key, spent[key.pk], byok[key.pk], left[key.pk]) for key in rows]


def _written(key: ApiKey, spent: usage.Spent, byok: usage.Spent, left: int | None) -> dict[str, Any]:
    return {
        "hash": key.digest,
        "name": key.name,
        "label": key.label,
        "disabled": key.disabled,
        "scopes": key.scopes,
        "limit": key.limit_nano,
        "limit_remaining": left,
        "limit_reset": key.limit_reset or None,
        "include_byok_in_limit": False,
        "usage": spent.total,
        "usage_daily": spent.daily,
        "usage_weekly": spent.weekly,
        "usage_monthly": spent.monthly,
        "byok_usage": byok.total,
        "byok_usage_daily": byok.daily,
        "byok_usage_weekly": byok.weekly,
        "byok_usage_monthly": byok.monthly,
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        "expires_at": key.expires_at,
        "creator_user_id": str(key.created_by_id) if key.created_by_id else None,
        # One account is one workspace here.
        "workspace_id": str(key.account_id),
    }
