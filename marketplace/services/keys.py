"""API keys: issue, recognise, change, end."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Q
from django.utils import timezone

from marketplace.lib import ids
from marketplace.lib.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from marketplace.models import Account, ApiKey, User

_TOUCH_EVERY = dt.timedelta(minutes=1)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Once:
    """The name under which a POST on a route is to have one effect (Idempotency-Key); `body` tells others apart."""

    name: str
    route: str
    body: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request with an API key comes from, and what of it may not happen twice."""

    account_id: int
    key_id: int
    scopes: frozenset[str]
    once: Once | None = None

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the key has this scope."""
        if scope not in self.scopes:
            raise Forbidden(
                f"This key has no {scope} scope: create one that has, or use another key.",
                metadata={"required_scope": scope},
            )


def issue(
    *,
    account: Account,
    name: str,
    created_by: User | None = None,
    scopes: Sequence[str] = (ApiKey.Scope.INFERENCE,),
    limit_nano: int | None = None,
    limit_reset: str = ApiKey.Reset.NEVER,
    expires_at: dt.datetime | None = None,
    is_playground: bool = False,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the key itself, which is not kept anywhere.

    Raises InvalidRequest for an unknown scope or reset, a negative limit or an expiry in the past.
    """
    if not scopes or not set(scopes) <= set(ApiKey.Scope.values):
        raise InvalidRequest(f"Scopes are one or more of {', '.join(ApiKey.Scope.values)}.")
    _check_limit(limit_nano, limit_reset)
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("The key would have expired already: choose a time to come.")
    plaintext = ids.new_api_key()
    key = ApiKey.objects.create(
        account=account,
        created_by=created_by,
        name=name.strip()[:100] or "key",
        digest=digest(plaintext),
        label=f"{plaintext[: len(ids.KEY_PREFIX) + 3]}...{plaintext[-3:]}",
        scopes=sorted(set(scopes)),
        limit_nano=limit_nano,
        limit_reset=limit_reset,
        expires_at=expires_at,
        is_playground=is_playground,
    )
    return key, plaintext


def digest(plaintext: str) -> str:
    """SHA-256 in hex: what the table is searched by. 190 random bits need no slow hash."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


def authenticate(plaintext: str) -> Caller:
    """The caller behind a key. Raises Unauthorized; a key with a typing error costs no query."""
    if not ids.is_api_key(plaintext):
        raise Unauthorized("This is no API key of ours: check that it was copied whole (it begins with sk-tp-v1-).")
    rows = ApiKey.objects.filter(digest=digest(plaintext), deleted_at=None).order_by()
    found = rows.values_list("account_id", "pk", "scopes", "disabled", "expires_at", "last_used_at")[:1]
    row = next(iter(found), None)
    if row is None:
        raise Unauthorized("This API key does not exist (any more): create one on the keys page.")
    account_id, key_id, scopes, disabled, expires_at, last_used_at = row
    now = timezone.now()
    if disabled:
        raise Unauthorized("This API key is disabled: enable it on the keys page or use another.")
    if expires_at is not None and expires_at <= now:
        raise Unauthorized("This API key has expired: create another on the keys page.")
    if last_used_at is None or now - last_used_at > _TOUCH_EVERY:
        ApiKey.objects.filter(pk=key_id).update(last_used_at=now)
    return Caller(account_id=account_id, key_id=key_id, scopes=frozenset(scopes))


def change(
    *,
    account: Account,
    key_id: int,
    name: str | None = None,
    disabled: bool | None = None,
    limit: tuple[int | None, str] | None = None,
) -> ApiKey:
    """Change a key of the account; `limit` is (nano-USD or None, reset). Raises NotFound, InvalidRequest."""
    key = find(account_id=account.pk, key_id=key_id)
    if name is not None:
        key.name = name.strip()[:100] or key.name
    if disabled is not None:
        key.disabled = disabled
    if limit is not None:
        _check_limit(*limit)
        key.limit_nano, key.limit_reset = limit
    key.updated_at = timezone.now()
    key.save(update_fields=["name", "disabled", "limit_nano", "limit_reset", "updated_at"])
    return key


def delete(*, account: Account, key_id: int) -> None:
    """End a key for good; its row stays, since charges name it. Raises NotFound."""
    key = find(account_id=account.pk, key_id=key_id)
    key.deleted_at = timezone.now()
    key.disabled = True
    key.save(update_fields=["deleted_at", "disabled"])


def find(*, account_id: int, key_id: int) -> ApiKey:
    """A living key of the account. Raises NotFound, also for a stranger's."""
    key = ApiKey.objects.filter(account_id=account_id, pk=key_id, deleted_at=None).first()
    if key is None:
        raise NotFound("There is no such key in this account.")
    return key


def find_by_digest(*, account_id: int, digest: str) -> ApiKey:
    """A living key of the account by the hash of its text, not one of a playground. Raises NotFound."""
    known = _DIGEST.fullmatch(digest) is not None
    rows = ApiKey.objects.filter(account_id=account_id, deleted_at=None, is_playground=False)
    key = rows.filter(digest=digest).first() if known else None
    if key is None:
        raise NotFound("There is no key with this hash in this account: GET /api/v1/keys lists them.")
    return key


def listed(*, account_id: int) -> list[ApiKey]:
    """The account's keys, newest first, without those of playgrounds."""
    rows = ApiKey.objects.filter(Q(account_id=account_id, deleted_at=None, is_playground=False))
    return list(rows.order_by(F("created_at").desc()))


def _check_limit(limit_nano: int | None, limit_reset: str) -> None:
    if limit_reset not in ApiKey.Reset.values:
        raise InvalidRequest("The limit resets daily, weekly, monthly or never.")
    if limit_nano is not None and limit_nano < 0:
        raise InvalidRequest("A spend limit is zero or more dollars.")
