"""Accounts' own keys at providers: keep, change, choose, forget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from marketplace.lib.errors import InvalidRequest, NotFound
from marketplace.models import Account, ApiKey, Provider, ProviderKey, User

MOST: Final = 200  # of an account
MAX_LISTED: Final = 100
MAX_KEY: Final = 16_000
LISTS: Final = ("allowed_models", "allowed_api_key_hashes", "allowed_user_ids")
FIELDS: Final = frozenset({"name", "disabled", "is_fallback", "sort_order", *LISTS})


def listed(*, account_id: int, provider: str = "") -> list[ProviderKey]:
    """The account's keys in the order in which they are tried."""
    rows = ProviderKey.objects.for_account(account_id).filter(deleted_at=None).select_related("provider")
    return list(rows.filter(provider__slug=provider) if provider else rows)


def find(*, account_id: int, public_id: UUID) -> ProviderKey:
    """One of the account's. Raises NotFound, also for a stranger's."""
    rows = ProviderKey.objects.for_account(account_id).filter(deleted_at=None).select_related("provider")
    row = rows.filter(public_id=public_id).first()
    if row is None:
        raise NotFound("There is no such provider key in this account.")
    return row


def keep(
    *, account: Account, provider: str, key: str, by: User | None = None, values: Mapping[str, Any] | None = None
) -> ProviderKey:
    """Keep a credential, last among its kind. `key` is the provider's key, or a JSON object of several fields.

    Raises InvalidRequest for an unknown provider or what can be no credential.
    """
    at = Provider.objects.filter(slug=provider, is_active=True).first() if provider.isprintable() else None
    if at is None:
        raise InvalidRequest(
            f"There is no provider {provider[:64]!r} here: GET /api/v1/providers lists them.",
            metadata={"field": "provider"},
        )
    mine = ProviderKey.objects.for_account(account.pk).filter(deleted_at=None)
    if mine.count() >= MOST:
        raise InvalidRequest(f"An account has at most {MOST} provider keys: delete some.")
    last = mine.aggregate(last=Max("sort_order"))["last"]
    row = ProviderKey(account=account, provider=at, created_by=by, sort_order=0 if last is None else last + 1)
    _seal(row, key)
    _apply(row, values or {})
    row.save()
    return row


def change(*, row: ProviderKey, values: Mapping[str, Any], key: str | None = None) -> ProviderKey:
    """Change fields of `FIELDS`; a new `key` takes the old one's place. Raises InvalidRequest."""
    if key is not None:
        _seal(row, key)
    _apply(row, values)
    row.save()
    return row


def forget(*, row: ProviderKey) -> None:
    """End a key: the credential is wiped, the row stays, since generations were made with it."""
    row.sealed = ""
    row.disabled = True
    row.deleted_at = timezone.now()
    row.save(update_fields=["sealed", "disabled", "deleted_at"])


def usable(*, account_id: int, key_id: int | None) -> list[ProviderKey]:
    """The keys that may serve requests of this caller, in order. `allowed_models` is the router's to look at."""
    rows = ProviderKey.objects.for_account(account_id).filter(disabled=False, deleted_at=None)
    found = list(rows.select_related("provider"))
    if not any(row.allowed_api_key_hashes is not None or row.allowed_user_ids is not None for row in found):
        return found
    caller = ApiKey.objects.filter(pk=key_id).first() if key_id is not None else None
    digest = caller.digest if caller else ""
    user_id = str(caller.created_by_id) if caller and caller.created_by_id else ""
    return [
        row
        for row in found
        if (row.allowed_api_key_hashes is None or digest in row.allowed_api_key_hashes)
        and (row.allowed_user_ids is None or user_id in row.allowed_user_ids)
    ]


def _seal(row: ProviderKey, key: str) -> None:
    text = key.strip()
    if not text or len(text) > MAX_KEY or not text.isprintable():
        raise InvalidRequest(
            f"'key' is the provider's key as it was given to you, at most {MAX_KEY} characters on one line.",
            metadata={"field": "key"},
        )
    credentials: dict[str, Any] = {"api_key": text}
    if text.startswith("{"):
        try:
            credentials = json.loads(text)
        except ValueError:
            raise InvalidRequest(
                "'key' begins like a JSON object and is none: paste the whole credential.", metadata={"field": "key"}
            ) from None
    row.seal(credentials)
    is_long = len(text) >= 20 and not text.startswith("{")
    row.label = f"{text[:3]}...{text[-4:]}" if is_long else "..."


def _apply(row: ProviderKey, values: Mapping[str, Any]) -> None:
    if unknown := values.keys() - FIELDS:
        raise ValueError(f"a provider key has no {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(row, name, _names(name, value) if name in LISTS else value)


def _names(where: str, given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    names = sorted(set(given))
    if len(names) > MAX_LISTED or any(len(one) > 200 for one in names):
        raise InvalidRequest(f"'{where}' takes at most {MAX_LISTED} entries.", metadata={"field": where})
    return names
