"""POST, GET and DELETE /api/v1/files: what chats can name by id. The same files as hosting's /v1/files."""

from __future__ import annotations

import io
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.parsers import MultiPartParser

from execution.api import files as hosting
from execution.models import File
from execution.services import files
from marketplace.api.described import Described
from marketplace.lib import pool
from marketplace.lib.errors import InvalidRequest
from routing.api.base import View, answer, plain
from routing.services import stored

MOST: Final = 1_000
DEFAULT: Final = 100
SHAPE: Final = {"_shape": "openrouter"}  # which of the reference's three forms an answer has


class Files(View):
    """The account's files."""

    parser_classes = (MultiPartParser,)
    described: Final = {
        "get": Described(
            query={"limit": {"type": "integer", "minimum": 1, "maximum": MOST}, "cursor": {"type": "string"}}
        ),
        "post": Described(body={"type": "object", "required": ["file"]}),
    }

    async def get(self, request: Any) -> HttpResponse:
        """A page, the oldest first; `cursor` (also `after`, `after_id`) is the id to go on after."""
        caller = await self.caller(request)
        query = plain(request).GET
        after = query.get("cursor") or query.get("after") or query.get("after_id")
        rows, has_more = await pool.run(
            stored.page, account_id=caller.account_id, after=after, limit=_limit(query.get("limit", ""))
        )
        ids = [row.pk for row in rows]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        data = [_shape(row) for row in rows]
        cursor = last if has_more else None
        ends = {"first_id": first, "last_id": last, "has_more": has_more, "cursor": cursor}
        return answer(SHAPE | {"data": data} | ends)

    async def post(self, request: Any) -> HttpResponse:
        """Store the form's `file`."""
        caller = await self.caller(request)
        return answer(await pool.run(_store, plain(request), caller.account_id))


class OneFile(View):
    """One file."""

    async def get(self, request: Any, file_id: str) -> HttpResponse:
        """What is known of it."""
        caller = await self.caller(request)
        return answer(_shape(await pool.run(files.find, account_id=caller.account_id, file_id=file_id)))

    async def delete(self, request: Any, file_id: str) -> HttpResponse:
        """Remove it."""
        caller = await self.caller(request)
        row = await pool.run(files.find, account_id=caller.account_id, file_id=file_id)
        await pool.run(files.delete, row)
        return answer(SHAPE | {"id": file_id, "type": "file_deleted"})


class FileContent(View):
    """A file's bytes."""

    async def get(self, request: Any, file_id: str) -> HttpResponseBase:
        """All of them, or the range that is asked for."""
        caller = await self.caller(request)
        row = await pool.run(files.find, account_id=caller.account_id, file_id=file_id)
        return hosting.stream(row, plain(request))


def _store(request: HttpRequest, account_id: int) -> dict[str, Any]:
    content = request.FILES.get("file") if (request.content_type or "").startswith("multipart/") else None
    if not isinstance(content, UploadedFile):
        raise InvalidRequest("Send the file as multipart/form-data, in the field 'file'.", metadata={"field": "file"})
    row = stored.store(
        account_id=account_id,
        content=content.file or io.BytesIO(),
        name=content.name or "file",
        content_type=content.content_type or "",
        size=content.size or 0,
    )
    return _shape(row)


def _limit(text: str) -> int:
    if not text:
        return DEFAULT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MOST:
        raise InvalidRequest(f"'limit' must be a whole number from 1 to {MOST}.", metadata={"field": "limit"})
    return int(text)


def _shape(row: File) -> dict[str, Any]:
    return SHAPE | {
        "id": row.pk,
        "type": "file",
        "filename": row.name,
        "mime_type": row.content_type,
        "size_bytes": row.size,
        "created_at": row.created_at.isoformat(),
        "downloadable": True,
    }
