"""Stored files in chats: a part that names a file by id gets its content, so that any provider can read it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from typing import Final

from django.core.files.storage import default_storage

from execution.models import File as StoredFile
from execution.services import files
from marketplace.lib import pool
from marketplace.lib.errors import NotFound, PayloadTooLarge
from marketplace.services.keys import Caller
from routing.adapters import media
from routing.canonical import ChatRequest, File, Image, Message, Part
from routing.ingress import fields

MEBIBYTE: Final = 1024 * 1024
# As much as a request's body may carry itself.
MOST: Final = 20 * MEBIBYTE


async def attach(*, caller: Caller, request: ChatRequest) -> ChatRequest:
    """The request with the content of the caller's files in place of their ids.

    Raises NotFound for a file that is not the account's, PayloadTooLarge for more than 20 MiB of them, InvalidRequest
    for an address that a provider would open with its operator's rights.
    """
    for part in media.opened(part for message in request.messages for part in message.parts):
        for url in media.addresses(part):
            fields.address(url, where="url")
    if not any(_is_named(part) for message in request.messages for part in message.parts):
        return request
    return await pool.run(_attached, caller.account_id, request)


def _is_named(part: Part) -> bool:
    return isinstance(part, File) and part.file_id is not None and part.data is None and part.url is None


def _attached(account_id: int, request: ChatRequest) -> ChatRequest:
    left, added = MOST, 0
    messages: list[Message] = []
    for message in request.messages:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, File) and part.file_id is not None and _is_named(part):
                row = _find(account_id, part.file_id)
                left -= row.size
                if left < 0:
                    raise PayloadTooLarge(
                        f"The files of this request are together larger than {MOST // MEBIBYTE} MB: attach fewer.",
                        metadata={"limit_bytes": MOST},
                    )
                found = _part(part, row)
                added += len((found.url if isinstance(found, Image) else found.data) or "")
                parts.append(found)
            else:
                parts.append(part)
        messages.append(dataclasses.replace(message, parts=tuple(parts)))
    return dataclasses.replace(request, messages=tuple(messages), input_bytes=request.input_bytes + added)


def _find(account_id: int, file_id: str) -> StoredFile:
    try:
        return files.find(account_id=account_id, file_id=file_id)
    except NotFound:
        raise NotFound(
            f"There is no file {file_id[:64]} in this account: upload it by POST /api/v1/files.",
            metadata={"field": "file_id"},
        ) from None


def _part(part: File, row: StoredFile) -> File | Image:
    data = f"data:{row.content_type};base64,{base64.b64encode(b''.join(_read(row))).decode()}"
    if row.content_type.startswith("image/"):
        return Image(data, part.extra)
    return File(filename=part.filename or row.name, data=data, extra=part.extra)


def _read(row: StoredFile) -> Iterator[bytes]:
    with default_storage.open(row.path, "rb") as content:
        yield from content.chunks()
