"""The playground's key: short-lived, small, bound to one browser's login (contracts, Isolation 4).

One row per session. When its secret is about to expire the same row gets a new secret, so that
its daily limit counts on instead of starting anew. The secret lies encrypted in the session,
bound to the row; it is disabled at log-out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from marketplace.lib import crypto, ids
from marketplace.lib.money import NANO
from marketplace.models import Account, ApiKey, User
from marketplace.services import keys

SESSION_KEY = "playground"
LIFETIME = dt.timedelta(hours=1)
DAILY_LIMIT_NANO = NANO
# A key that dies in the middle of a conversation is no use: change it this long before.
_RENEW_BEFORE = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class PlaygroundKey:
    """The secret for the page's script, and until when it holds."""

    plaintext: str
    expires_at: dt.datetime


def key_for(*, user: User, account: Account, session: MutableMapping[str, Any]) -> PlaygroundKey:
    """The session's key for this account: the present one, renewed, or a first one."""
    kept = session.get(SESSION_KEY) or {}
    row = ApiKey.objects.filter(
        pk=kept.get("key_id", 0), account=account, created_by=user, is_playground=True, disabled=False, deleted_at=None
    ).first()
    if row is None:
        end(session=session)
        return _first(user=user, account=account, session=session)
    now = timezone.now()
    if row.expires_at is not None and row.expires_at - now > _RENEW_BEFORE:
        try:
            opened = crypto.decrypt(kept["sealed"], context=_context(row))
        except crypto.WrongSecret:
            return _renew(row, session=session)
        return PlaygroundKey(opened["key"], row.expires_at)
    return _renew(row, session=session)


def end(*, session: MutableMapping[str, Any]) -> None:
    """Disable the session's key, if it has one: at log-out and at a change of account."""
    kept = session.pop(SESSION_KEY, None)
    if kept:
        ApiKey.objects.filter(pk=kept["key_id"], is_playground=True).update(disabled=True)


def _first(*, user: User, account: Account, session: MutableMapping[str, Any]) -> PlaygroundKey:
    expires_at = timezone.now() + LIFETIME
    row, plaintext = keys.issue(
        account=account,
        name="Playground",
        created_by=user,
        scopes=[ApiKey.Scope.INFERENCE],
        limit_nano=DAILY_LIMIT_NANO,
        limit_reset=ApiKey.Reset.DAILY,
        expires_at=expires_at,
        is_playground=True,
    )
    return _keep(row, plaintext, expires_at, session=session)


def _renew(row: ApiKey, *, session: MutableMapping[str, Any]) -> PlaygroundKey:
    plaintext, expires_at = ids.new_api_key(), timezone.now() + LIFETIME
    ApiKey.objects.filter(pk=row.pk).update(digest=keys.digest(plaintext), expires_at=expires_at)
    return _keep(row, plaintext, expires_at, session=session)


def _keep(row: ApiKey, plaintext: str, expires_at: dt.datetime, *, session: MutableMapping[str, Any]) -> PlaygroundKey:
    session[SESSION_KEY] = {"key_id": row.pk, "sealed": crypto.encrypt({"key": plaintext}, context=_context(row))}
    return PlaygroundKey(plaintext, expires_at)


def _context(row: ApiKey) -> str:
    return f"playground:{row.pk}"
