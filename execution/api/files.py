"""POST, GET and DELETE /v1/files, and the signed links under which files are read."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.parsers import MultiPartParser

from execution import limits
from execution.api import pages, shapes
from execution.api.edge import View, answer, hop, plain
from execution.models import File
from execution.services import files
from marketplace.lib.errors import InvalidRequest, PayloadTooLarge

PAGE: Final = 100
_CHUNK: Final = 512 * 1024
# Shown by a browser in place; anything else is offered for saving, since a page or an SVG could run a script here.
_INLINE: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/mpeg", "audio/wav", "audio/x-wav"}
    | {"audio/ogg", "audio/flac", "video/mp4", "video/webm", "text/plain", "application/json"}
)


class Files(View):
    """The account's files."""

    parser_classes = (MultiPartParser,)

    async def get(self, request: Any) -> JsonResponse:
        """A page, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_page, plain(request), caller.account_id))

    async def post(self, request: Any) -> JsonResponse:
        """Store the multipart field `content`."""
        caller = await self.caller(request)
        return answer(await hop(_store, plain(request), caller.account_id), status=201)


class OneFile(View):
    """One file."""

    async def get(self, request: Any, file_id: str) -> JsonResponse:
        """What is known of it."""
        caller = await self.caller(request)
        row = await hop(files.find, account_id=caller.account_id, file_id=file_id)
        return answer(shapes.file(row, base=shapes.base_of(plain(request))))

    async def delete(self, request: Any, file_id: str) -> HttpResponse:
        """Remove it."""
        caller = await self.caller(request)
        row = await hop(files.find, account_id=caller.account_id, file_id=file_id)
        await hop(files.delete, row)
        return HttpResponse(status=204)


class Download(View):
    """A file behind a signed link; no key is asked for."""

    async def get(self, request: Any, file_id: str, name: str = "") -> HttpResponseBase:
        """Its bytes, or the range of them that is asked for."""
        row = await hop(files.open_link, file_id=file_id, asked=plain(request).GET)
        return stream(row, plain(request))


def _page(request: HttpRequest, account_id: int) -> dict[str, Any]:
    base = shapes.base_of(request)
    rows = File.objects.for_account(account_id).filter(prediction=None)
    return pages.page(
        rows, request=request, size=PAGE, show=lambda found: [shapes.file(row, base=base) for row in found]
    )


def _store(request: HttpRequest, account_id: int) -> dict[str, Any]:
    if not (request.content_type or "").startswith("multipart/"):
        raise InvalidRequest("Send the file as multipart/form-data, in the field `content`.")
    content = request.FILES.get("content")
    if not isinstance(content, UploadedFile):
        raise InvalidRequest("The multipart field `content`, the file, is missing.")
    if (content.size or 0) > limits.MAX_FILE_BYTES:
        raise PayloadTooLarge(f"Files must be less than {limits.MAX_FILE_BYTES // limits.MEBIBYTE}MB in size")
    row = files.store(
        account_id=account_id,
        content=content.file or io.BytesIO(),
        name=str(request.POST.get("filename") or content.name or "file"),
        content_type=str(request.POST.get("type") or content.content_type or ""),
        metadata=_metadata(request),
    )
    return shapes.file(row, base=shapes.base_of(request))


def _metadata(request: HttpRequest) -> dict[str, Any]:
    """The `metadata` part: JSON as a field or as a file part of its own, or `metadata[name]` fields."""
    part = request.FILES.get("metadata")
    text = part.read(limits.MAX_INLINE_BYTES).decode("utf-8", "replace") if part else request.POST.get("metadata", "")
    if not text:
        return {
            name[len("metadata[") : -1]: value
            for name, value in request.POST.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
    try:
        found = json.loads(text)
    except ValueError:
        raise InvalidRequest("`metadata` is not valid JSON.") from None
    if not isinstance(found, dict):
        raise InvalidRequest("`metadata` must be a JSON object.")
    return found


def stream(row: File, request: HttpRequest) -> StreamingHttpResponse:
    """A file's bytes, or the range of them that is asked for; shown in place only where that is harmless."""
    kind = row.content_type.partition(";")[0].lower()
    inline = kind in _INLINE
    start, end, partial = _range(request.headers.get("Range", ""), row.size)
    response = StreamingHttpResponse(
        _chunks(row.path, start, end),
        status=206 if partial else 200,
        content_type=(f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        if inline
        else "application/octet-stream",
    )
    disposition = "inline" if inline else "attachment"
    response["Content-Disposition"] = f"{disposition}; filename*=UTF-8''{quote(row.name)}"
    response["Content-Length"] = str(end - start)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{row.sha256}"'
    response["Cache-Control"] = "private, max-age=3600"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Access-Control-Allow-Origin"] = "*"
    if partial:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{row.size}"
    return response


def _range(header: str, size: int) -> tuple[int, int, bool]:
    """First byte, end and whether it is a part: one simple range, as players ask; anything else is the whole file."""
    first, dash, last = header.removeprefix("bytes=").partition("-")
    if not header.startswith("bytes=") or not dash or not size or not (first.isdigit() or last.isdigit()):
        return 0, size, False
    if not first.isdigit():
        return max(0, size - int(last)), size, True
    start = int(first)
    end = min(int(last) + 1, size) if last.isdigit() else size
    return (start, end, True) if start < end else (0, size, False)


async def _chunks(path: str, start: int, end: int) -> AsyncIterator[bytes]:
    source = await hop(default_storage.open, path, "rb")
    try:
        if start:
            await hop(source.seek, start)
        left = end - start
        while left > 0:
            chunk = await hop(source.read, min(_CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
    finally:
        source.close()
