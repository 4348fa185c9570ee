"""The key exchange for apps: a code on behalf of the account, and a key for a code."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from marketplace.api.amounts import GivenDollars
from marketplace.api.management import KeyedRequest
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account, ApiKey
from marketplace.services import app_codes

router = Router()


class CodeWanted(Schema):
    """What the key to be made is for and may spend."""

    callback_url: Annotated[str, Field(max_length=2000)] = ""
    code_challenge: Annotated[str, Field(max_length=128)] = ""
    code_challenge_method: Literal["S256", "plain"] | None = None
    key_label: Annotated[str, Field(max_length=100)] = ""
    limit: GivenDollars | None = None
    usage_limit_type: Literal["daily", "weekly", "monthly"] | None = None
    expires_at: dt.datetime | None = None


class CodeShape(Schema):
    """A code, to be exchanged within ten minutes."""

    id: str
    app_id: int
    created_at: dt.datetime


class OneCode(Schema):
    """One code."""

    data: CodeShape


class CodeGiven(Schema):
    """A code and what proves that the flow was begun here."""

    code: Annotated[str, Field(min_length=1, max_length=200)]
    code_verifier: Annotated[str, Field(max_length=200)] = ""
    code_challenge_method: str | None = None


class KeyMade(Schema):
    """The app's key; it is shown here and never again."""

    key: str
    user_id: str | None


@router.post("/auth/keys/code", response=OneCode, summary="Make an authorization code")
def create_auth_code(request: KeyedRequest, given: CodeWanted) -> dict[str, Any]:
    """A code without the consent page, for whoever holds a management key: it makes keys as it is."""
    if given.expires_at is not None and given.expires_at.tzinfo is None:
        raise InvalidRequest("'expires_at': say the time zone, such as 2027-01-31T00:00:00Z.")
    wish = app_codes.wish(
        callback_url=given.callback_url,
        challenge=given.code_challenge,
        method=given.code_challenge_method or "",
    )
    caller = ApiKey.objects.select_related("created_by").get(pk=request.auth.key_id)
    row, code = app_codes.issue(
        account=Account.objects.get(pk=request.auth.account_id),
        user=caller.created_by,
        wish=wish,
        key_name=given.key_label,
        limit_nano=given.limit,
        limit_reset=given.usage_limit_type or "",
        key_expires_at=given.expires_at,
    )
    return {"data": {"id": code, "app_id": row.pk, "created_at": row.created_at}}


@router.post("/auth/keys", response=KeyMade, auth=None, summary="Exchange a code for a key")
def exchange_auth_code(request: HttpRequest, given: CodeGiven) -> dict[str, Any]:
    """A key for a code, once; a code that comes again disables the key that it gave."""
    key, plaintext = app_codes.exchange(
        code=given.code, verifier=given.code_verifier, method=given.code_challenge_method
    )
    return {"key": plaintext, "user_id": str(key.created_by_id) if key.created_by_id else None}
