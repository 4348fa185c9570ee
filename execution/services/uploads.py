"""Archives that come in parts: begun, sent part by part from where they stand, put together and checked.

A part is a file of its own in the storage, so that a process, a host or a connection that is lost costs one part. The
row's `received` moves by conditional UPDATE: of two that send the same part one is told where the upload stands.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any, Final

from django.core.files.base import ContentFile
from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.db.models import Sum
from django.utils import timezone

from execution import limits
from execution.models import Upload
from execution.services import trust
from execution.services.renderings import moment
from marketplace.lib.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unprocessable
from marketplace.models import Account

_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_BATCH: Final = 100


def begin(*, account: Account, name: Any, size: Any) -> Upload:
    """Announce an archive of `size` bytes.

    Raises Forbidden when this account's code may not run here, Unprocessable for what is no zip by its name,
    PayloadTooLarge, Conflict while too much of this account is under way.
    """
    trust.require(account=account)
    if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidRequest('Say what comes: {"name": "model.zip", "size": bytes}.')
    if not name.isprintable():
        raise InvalidRequest("The name has a control character in it: leave it out.")
    if not name.lower().endswith(".zip"):
        raise Unprocessable("The file is not a zip archive: upload a .zip with cog.yaml and your predictor in it.")
    if size > limits.MAX_ARCHIVE_BYTES:
        most = limits.MAX_ARCHIVE_BYTES // limits.MEBIBYTE
        raise PayloadTooLarge(f"An archive is at most {most} MB: let setup() read large weights from elsewhere.")
    row = Upload.objects.create(
        account=account, name=name[-255:], size=size, expires_at=timezone.now() + limits.UPLOAD_LIFE
    )
    _refuse_too_many(row)
    return row


def _refuse_too_many(row: Upload) -> None:
    """Counted with the row already there, so that of several begun at once none is overlooked."""
    there = Upload.objects.for_account(row.account_id).filter(expires_at__gt=timezone.now())
    announced = there.aggregate(total=Sum("size"))["total"] or 0
    if there.count() > limits.UPLOADS_AT_ONCE or announced > limits.UPLOADED_AT_ONCE_BYTES:
        row.delete()
        most = limits.UPLOADED_AT_ONCE_BYTES // limits.MEBIBYTE
        raise Conflict(
            f"Uploads under way are at most {limits.UPLOADS_AT_ONCE} and together {most} MB: publish or delete one "
            "(GET /v1/uploads lists them)."
        )


def find(*, account_id: int, upload_id: str) -> Upload:
    """The account's upload. Raises NotFound, also for a stranger's and one whose time is over."""
    row = Upload.objects.for_account(account_id).filter(pk=upload_id, expires_at__gt=timezone.now()).first()
    if row is None:
        raise NotFound("There is no such upload in this account: it was published, deleted, or its time was over.")
    return row


def append(*, account_id: int, upload_id: str, offset: str, content: bytes, digest: str = "") -> Upload:
    """Add the part that begins at `offset`; `digest` is the part's Content-Digest (RFC 9530), "" when not given.

    Raises Conflict with the offset at which the upload stands, PayloadTooLarge, InvalidRequest, Unprocessable for a
    part that did not come as it was sent.
    """
    row = find(account_id=account_id, upload_id=upload_id)
    if not offset.isdecimal():
        raise InvalidRequest("The header Upload-Offset says at which byte this part begins.")
    if int(offset[:20]) != row.received or row.path:
        raise _elsewhere(row)
    wanted = min(limits.PART_BYTES, row.size - row.received)
    if len(content) != wanted:
        kind = PayloadTooLarge if len(content) > wanted else InvalidRequest
        raise kind(f"The part at byte {row.received} has {wanted} bytes, and {len(content)} came: send it again.")
    is_checked = _is_as_sent(content, digest)
    path = default_storage.save(f"uploads/{account_id}/{row.pk}/{row.received}", ContentFile(content))
    moved = Upload.objects.filter(pk=row.pk, received=row.received, path="").update(
        received=row.received + wanted,
        parts=[*row.parts, [path, is_checked]],
        expires_at=timezone.now() + limits.UPLOAD_LIFE,
    )
    if not moved:  # another request has sent this part meanwhile
        default_storage.delete(path)
        raise _elsewhere(find(account_id=account_id, upload_id=upload_id))
    return find(account_id=account_id, upload_id=upload_id)


def _elsewhere(row: Upload) -> Conflict:
    return Conflict(f"This upload stands at byte {row.received}: go on there.", metadata={"offset": row.received})


def _is_as_sent(content: bytes, digest: str) -> bool:
    if not digest:
        return False
    found = _DIGEST.search(digest)
    try:
        given = base64.b64decode(found.group(1)) if found else b""
    except binascii.Error:
        given = b""
    if not given:
        raise InvalidRequest("Content-Digest is written sha-256=:<base64>:.")
    if given != hashlib.sha256(content).digest():
        raise Unprocessable("This part did not arrive as it was sent (its Content-Digest differs): send it again.")
    return True


def complete(*, account_id: int, upload_id: str, sha256: Any = "") -> Upload:
    """Put the parts together; the same again changes nothing.

    `sha256` of the whole, in hex, may only be left out when every part came with its digest. Raises Conflict while
    parts are missing, Unprocessable when the content differs or is no zip: then the upload is gone.
    """
    row = find(account_id=account_id, upload_id=upload_id)
    if not isinstance(sha256, str) or (sha256 and not _HEX.fullmatch(sha256)):
        raise InvalidRequest("`sha256` is the digest of the whole archive in 64 hex digits.")
    if row.path:
        return row
    if row.received < row.size:
        raise _elsewhere(row)
    if not sha256 and not all(is_checked for _, is_checked in row.parts):
        raise InvalidRequest("Give the `sha256` of the whole archive, or a Content-Digest with every part.")
    reader = _Joined(row)
    path = default_storage.save(f"sources/{account_id}/{row.pk}.zip", reader)
    found = reader.digest.hexdigest()
    if sha256 and sha256.lower() != found:
        default_storage.delete(path)
        remove(row)
        raise Unprocessable(f"The archive did not arrive as it was sent (its SHA-256 is {found}): upload it again.")
    if not _is_zip(path):
        default_storage.delete(path)
        remove(row)
        raise Unprocessable("The file is not a zip archive: upload a .zip with cog.yaml and your predictor in it.")
    if Upload.objects.filter(pk=row.pk, path="").update(path=path, sha256=found, parts=[]):
        _delete_parts(row)
    else:  # completed twice at once
        default_storage.delete(path)
    return find(account_id=account_id, upload_id=upload_id)


class _Joined(StorageFile):  # type: ignore[type-arg]
    """The parts one after the other, as a storage reads a file; hashed on the way."""

    def __init__(self, row: Upload) -> None:
        super().__init__(io.BytesIO(), name=row.name)
        self._parts = [path for path, _ in row.parts]
        self.size = row.size
        self.digest = hashlib.sha256()

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for path in self._parts:
            with default_storage.open(path, "rb") as part:
                while piece := part.read(chunk_size or limits.MEBIBYTE):
                    self.digest.update(piece)
                    yield piece


def _is_zip(path: str) -> bool:
    with default_storage.open(path, "rb") as whole:
        return zipfile.is_zipfile(whole)


def take(*, row: Upload) -> bool:
    """Hand a complete upload's archive over to a build; False when another has taken it, or its time was over."""
    taken, _ = Upload.objects.filter(pk=row.pk, path=row.path).exclude(path="").delete()
    return bool(taken)


def remove(row: Upload) -> None:
    """Forget an upload with all that came of it, unless a build has just taken it."""
    taken, _ = Upload.objects.filter(pk=row.pk, received=row.received, path=row.path).delete()
    if taken:
        _delete_parts(row)
        if row.path:
            default_storage.delete(row.path)


def _delete_parts(row: Upload) -> None:
    """With what a process that died between file and row has left there."""
    folder = f"uploads/{row.account_id}/{row.pk}"
    with contextlib.suppress(FileNotFoundError):
        _, names = default_storage.listdir(folder)
        for name in names:
            default_storage.delete(f"{folder}/{name}")
    default_storage.delete(folder)


def remove_expired(*, now: dt.datetime) -> int:
    """Remove uploads whose time is over; returns how many."""
    due = list(Upload.objects.filter(expires_at__lte=now)[:_BATCH])
    for row in due:
        remove(row)
    return len(due)


def describe(row: Upload) -> dict[str, Any]:
    """The upload as its sender sees it; sizes and offsets in bytes."""
    return {
        "id": row.pk,
        "name": row.name,
        "size": row.size,
        "offset": row.received,
        "part_bytes": limits.PART_BYTES,
        "status": "complete" if row.path else "open",
        "sha256": row.sha256 or None,
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
    }
