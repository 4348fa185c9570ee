"""Idempotency-Key: however often a POST arrives, it has one effect (contracts, Money 8)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from execution import limits
from execution.models import IdempotencyKey
from marketplace.lib.errors import Conflict, InvalidRequest, Unprocessable


def fingerprint(body: Any) -> str:
    """What makes two bodies the same: their JSON with sorted members."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def begin(*, account_id: int, key_id: int | None, route: str, name: str, body: Any) -> IdempotencyKey | str:
    """The row to complete, or the result of the earlier request with the same name.

    Raises Conflict (409) while that one is in flight, Unprocessable (422) when its body was another,
    InvalidRequest for a name of more than 255 characters.
    """
    if len(name) > 255:
        raise InvalidRequest("An Idempotency-Key has at most 255 characters.")
    now = timezone.now()
    same = {"account_id": account_id, "asked_by": str(key_id or ""), "route": route, "name": name}
    mine = {"fingerprint": fingerprint(body), "lease_expires_at": now + limits.IDEMPOTENCY_LEASE}
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(**same, **mine)
    except IntegrityError:
        pass
    row = IdempotencyKey.objects.filter(**same).first()
    if row is None:
        raise _in_flight()
    if row.created_at < now - limits.IDEMPOTENCY_LIFE:
        IdempotencyKey.objects.filter(pk=row.pk, created_at=row.created_at).delete()
        return begin(account_id=account_id, key_id=key_id, route=route, name=name, body=body)
    if row.fingerprint != mine["fingerprint"]:
        raise Unprocessable("This Idempotency-Key was used with another body: choose a new key for a new request.")
    if row.result:
        return row.result
    # Whoever began it is gone (its lease is over): exactly one of those who ask now goes on.
    taken = IdempotencyKey.objects.filter(pk=row.pk, result="", lease_expires_at__lte=now).update(
        lease_expires_at=mine["lease_expires_at"]
    )
    if taken:
        row.lease_expires_at = now + limits.IDEMPOTENCY_LEASE
        return row
    raise _in_flight()


def complete(*, row: IdempotencyKey, result: str) -> None:
    """Note what was made, in the transaction that makes it.

    Raises Conflict when another took over meanwhile, which undoes the transaction.
    """
    done = IdempotencyKey.objects.filter(pk=row.pk, result="", lease_expires_at=row.lease_expires_at)
    if not done.update(result=result):
        raise _in_flight()


def forget(*, row: IdempotencyKey) -> None:
    """Nothing was made (the request was refused): the same name may be used again."""
    IdempotencyKey.objects.filter(pk=row.pk, result="", lease_expires_at=row.lease_expires_at).delete()


def free(*, account_id: int, result: str) -> None:
    """What was made under a name came to nothing: the name may be used again, whoever asks first."""
    IdempotencyKey.objects.for_account(account_id).filter(result=result).delete()


def _in_flight() -> Conflict:
    return Conflict(
        "A request with this Idempotency-Key is in progress: try again shortly.", headers={"Retry-After": "1"}
    )
