"""Stored files: uploads, outputs, and the links under which they are read.

Inside a prediction's JSON a file is "turnpike-file:<id>"; only when it is shown does it become a signed link, so
that links are always fresh and carry the address by which the reader came.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.utils import timezone

from execution import limits
from execution.models import File, Prediction, new_id
from execution.services import links
from marketplace.lib.errors import NotFound, PayloadTooLarge

SCHEME: Final = "turnpike-file:"
_MARK: Final = re.compile(rf"{SCHEME}([0-9a-z]{{26}})")
_CHUNK: Final = 1024 * 1024
_PURPOSE: Final = "files"


class _Hashing:
    """A readable file that remembers the size and SHA-256 of what was read, and stops past a limit."""

    def __init__(self, inner: IO[bytes], limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()

    def read(self, amount: int = -1) -> bytes:
        chunk = self._inner.read(amount if amount >= 0 else _CHUNK)
        self.size += len(chunk)
        if self.size > self._limit:
            raise PayloadTooLarge(f"Files must be less than {self._limit // limits.MEBIBYTE}MB in size")
        self.digest.update(chunk)
        return chunk

    def chunks(self, _: int | None = None) -> Iterable[bytes]:
        while chunk := self.read(_CHUNK):
            yield chunk


def store(
    *,
    account_id: int,
    content: IO[bytes],
    name: str,
    content_type: str,
    metadata: Mapping[str, Any] | None = None,
    prediction_id: str | None = None,
    life: dt.timedelta | None = limits.FILE_LIFE,
    max_bytes: int = limits.MAX_FILE_BYTES,
) -> File:
    """Copy `content` into the storage piece by piece and write its row. Raises PayloadTooLarge past `max_bytes`."""
    file_id = new_id()
    reader = _Hashing(content, max_bytes)
    wanted = f"{account_id}/{file_id[:2]}/{file_id}"
    stored = StorageFile(reader, name=wanted)  # type: ignore[arg-type]  # chunks() is all that a storage asks of it
    stored.chunks = reader.chunks  # type: ignore[method-assign,assignment]
    try:
        path = default_storage.save(wanted, stored)
    except PayloadTooLarge:
        default_storage.delete(wanted)
        raise
    return File.objects.create(
        id=file_id,
        account_id=account_id,
        prediction_id=prediction_id,
        name=_plain_name(name),
        content_type=content_type[:255] or "application/octet-stream",
        size=reader.size,
        sha256=reader.digest.hexdigest(),
        path=path,
        metadata=dict(metadata or {}),
        expires_at=timezone.now() + life if life else None,
    )


def _plain_name(name: str) -> str:
    kept = re.sub(r"[\x00-\x1f\x7f/\\\ud800-\udfff]", "_", name).strip()[-255:]
    return kept if kept not in ("", ".", "..") else "file"


def copy(file: File, *, account_id: int, prediction_id: str | None = None) -> File:
    """Another account's or prediction's own copy; a prediction's stays as long as its data."""
    with default_storage.open(file.path, "rb") as content:
        return store(
            account_id=account_id,
            content=content,
            name=file.name,
            content_type=file.content_type,
            prediction_id=prediction_id,
            life=None if prediction_id else limits.FILE_LIFE,
        )


def find(*, account_id: int, file_id: str) -> File:
    """The account's file. Raises NotFound, also for a stranger's and for one whose time is over."""
    file = File.objects.for_account(account_id).filter(pk=file_id).first()
    if file is None or _is_over(file):
        raise NotFound("There is no such file in this account.")
    return file


def _is_over(file: File) -> bool:
    return file.expires_at is not None and file.expires_at <= timezone.now()


def delete(file: File) -> None:
    """Remove a file and its row."""
    default_storage.delete(file.path)
    file.delete()


def local_path(file: File) -> Path | None:
    """Where the file lies on this machine, or None when the storage is elsewhere."""
    try:
        return Path(default_storage.path(file.path))
    except NotImplementedError:
        return None


# --- Links ---


def link(file: File, *, base: str, now: dt.datetime | None = None) -> str:
    """A link that opens the file without a header, for an hour or as long as the file lives."""
    now = now or timezone.now()
    until = min(file.expires_at or now + limits.LINK_LIFE, now + limits.LINK_LIFE)
    query = links.sign(purpose=_PURPOSE, owner=file.account_id, object_id=file.pk, until=until)
    return f"{base}/v1/files/{file.pk}/download/{quote(file.name)}?{query}"


def open_link(*, file_id: str, asked: Mapping[str, str], now: dt.datetime | None = None) -> File:
    """The file behind a link with this query. Raises Forbidden for a wrong or old one, NotFound when it is gone."""
    owner = links.check(purpose=_PURPOSE, object_id=file_id, asked=asked, now=now)
    file = File.objects.for_account(owner).filter(pk=file_id).first()
    if file is None or _is_over(file):
        raise NotFound("This file has been removed.")
    return file


def mark(file: File) -> str:
    """How the file is written inside a prediction's input or output."""
    return f"{SCHEME}{file.pk}"


def marks_in(value: Any) -> set[str]:
    """The ids of the files that a JSON value names."""
    found: set[str] = set()

    def note(text: str) -> str:
        if match := _MARK.fullmatch(text):
            found.add(match.group(1))
        return text

    each_string(value, note)
    return found


def _is_mark(text: str) -> bool:
    return _MARK.fullmatch(text) is not None


def each_string(value: Any, change: Callable[[str], Any]) -> Any:
    """The value with every string in it (not the names of members) passed through `change`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [each_string(item, change) for item in value]
    if isinstance(value, dict):
        return {name: each_string(item, change) for name, item in value.items()}
    return value


def with_links(value: Any, *, account_id: int, base: str) -> Any:
    """The value with links in place of the account's own files; names of other files stay what they are: text."""
    wanted = marks_in(value)
    if not wanted:
        return value
    own = {file.pk: file for file in File.objects.for_account(account_id).filter(pk__in=wanted)}

    def shown(text: str) -> str:
        file = own.get(text.removeprefix(SCHEME)) if _is_mark(text) else None
        return link(file, base=base) if file else text

    return each_string(value, shown)


def keep_output(*, prediction: Prediction, path: Path, name: str, content_type: str) -> str:
    """Store a file that a prediction made; returns what stands for it in the output."""
    with path.open("rb") as content:
        file = store(
            account_id=prediction.account_id,
            content=content,
            name=name,
            content_type=content_type,
            prediction_id=prediction.pk,
            life=None,  # retention removes it with the prediction's data
            max_bytes=limits.MAX_WEIGHTS_BYTES if prediction.is_training else limits.MAX_FILE_BYTES,
        )
    return mark(file)
