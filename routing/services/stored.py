"""The account's files as the gateway keeps them: until they are deleted, up to a quota."""

from __future__ import annotations

from typing import IO, Final

from django.db.models import Sum

from execution import limits
from execution.models import File
from execution.services import files
from marketplace.lib import env
from marketplace.lib.errors import NotFound, PayloadTooLarge

MEBIBYTE: Final = 1024 * 1024
QUOTA: Final = env.integer("FILES_QUOTA_BYTES", 2_048 * MEBIBYTE, minimum=1)


def store(*, account_id: int, content: IO[bytes], name: str, content_type: str, size: int) -> File:
    """Keep an upload. Raises PayloadTooLarge for one above 100 MB, or one for which the account has no room."""
    if size > limits.MAX_FILE_BYTES:
        raise _too_large(f"Files must be at most {limits.MAX_FILE_BYTES // MEBIBYTE} MB.", limits.MAX_FILE_BYTES)
    kept = File.objects.for_account(account_id).filter(prediction=None, expires_at=None).aggregate(all=Sum("size"))
    if (kept["all"] or 0) + size > QUOTA:
        message = f"This account's files would take more than {QUOTA // MEBIBYTE} MB: delete some first."
        raise _too_large(message, QUOTA)
    return files.store(account_id=account_id, content=content, name=name, content_type=content_type, life=None)


def page(*, account_id: int, after: str | None, limit: int) -> tuple[list[File], bool]:
    """Up to `limit` files, the oldest first, after the one with that id; and whether there are more.

    Raises NotFound for an id that is none of the account's.
    """
    rows = File.objects.for_account(account_id).filter(prediction=None).order_by("created_at", "id")
    if after is not None:
        edge = rows.filter(pk=after).first()
        if edge is None:
            raise NotFound(f"There is no file {after[:64]} to list after.")
        later = rows.filter(created_at__gt=edge.created_at)
        rows = later | rows.filter(created_at=edge.created_at, id__gt=edge.pk)
    found = list(rows[: limit + 1])
    return found[:limit], len(found) > limit


def _too_large(message: str, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(message, metadata={"limit_bytes": limit})
