"""Files on their way into a prediction: named by upload, by data URI, or by an address on the internet."""

from __future__ import annotations

import base64
import binascii
import io
import mimetypes
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from django.conf import settings
from django.core.files.storage import default_storage

from execution import limits, schema, texts
from execution.models import File, Prediction
from execution.services import files
from marketplace.lib import http
from marketplace.lib.addresses import Refused
from marketplace.lib.errors import AppError, Forbidden, NotFound, Unprocessable

# A small one, as `accept` leaves it in the input, in the form that every version of Cog takes.
_PLAIN: Final = re.compile(r"data:[a-zA-Z0-9.+-]{1,60}/[a-zA-Z0-9.+-]{1,100};base64,[A-Za-z0-9+/]+=*$")
_OWN_FILE: Final = re.compile(r"/v1/(?:v1/)?files/([0-9a-z]{26})(?:/download.*)?")


class BadFile(Unprocessable):
    """422: an input file cannot be had; the message names the field and the reason."""


def accept(*, document: schema.Schema, given: Any, account_id: int, base: str) -> tuple[dict[str, Any], list[str]]:
    """The validated input, with uploads and large data URIs replaced by stored files; the ids of those stored here.

    `base` is this site's address as the caller wrote it. Raises Unprocessable with every problem, BadFile.
    """
    if not texts.is_fit(given):
        raise Unprocessable(
            f"- input: has a NUL, half a character, NaN or an infinity, or is nested deeper than {texts.MAX_DEPTH}"
        )
    try:
        ready = schema.validate(document=document, given=given)
    except schema.InvalidInput as error:
        fields = [{"field": f"input.{name}" if name else "input", "description": text} for name, text in error.problems]
        raise Unprocessable(f"{error}\n", metadata={"invalid_fields": fields}) from None
    except schema.InvalidSchema as error:
        raise Unprocessable(f"This version cannot be run: {error}.") from None
    count = 0
    made: list[str] = []
    for name in schema.file_inputs(document):
        value = ready.get(name)
        if value is None:
            continue
        many = value if isinstance(value, list) else [value]
        count += len(many)
        if count > limits.MAX_INPUT_FILES:
            raise BadFile(f"A prediction may have at most {limits.MAX_INPUT_FILES} input files.")
        taken = [_accept_one(name, str(one), account_id, base, made) for one in many]
        ready[name] = taken if isinstance(value, list) else taken[0]
    return ready, made


def _accept_one(name: str, value: str, account_id: int, base: str, made: list[str]) -> str:
    if value.startswith("data:"):
        if len(value) <= limits.MAX_INLINE_BYTES:
            _decode(name, value)
            return value
        content, content_type = _decode(name, value)
        extension = mimetypes.guess_extension(content_type) or ""
        stored = files.store(
            account_id=account_id, content=io.BytesIO(content), name=f"{name}{extension}", content_type=content_type
        )
        made.append(stored.pk)
        return files.mark(stored)
    if value.startswith(files.SCHEME):
        return files.mark(_own(name, account_id, value.removeprefix(files.SCHEME)))
    own = own_file_id(value, base)
    if own is not None:
        return files.mark(_linked(name, account_id, own, value, made))
    if urlsplit(value).scheme not in ("http", "https"):
        raise BadFile(f"- input.{name}: must be an uploaded file's URL, a data URI or an http(s) URL")
    return value


def own_file_id(url: str, base: str) -> str | None:
    """The id in a URL of this site's own files, else None."""
    for origin in {base, settings.PUBLIC_URL} - {""}:
        if url.startswith(f"{origin}/"):
            found = _OWN_FILE.fullmatch(urlsplit(url).path)
            return found.group(1) if found else None
    return None


def _linked(name: str, account_id: int, file_id: str, url: str, made: list[str]) -> File:
    """The account's own file, or its copy of another's that the link opens: an example's, say."""
    asked = dict(parse_qsl(urlsplit(url).query))
    if "signature" not in asked:
        return _own(name, account_id, file_id)
    try:
        file = files.open_link(file_id=file_id, asked=asked)
    except NotFound:
        raise BadFile(f"- input.{name}: the file behind this link has been removed") from None
    except Forbidden as error:
        if File.objects.for_account(account_id).filter(pk=file_id).exists():
            return _own(name, account_id, file_id)  # an old link to one's own file is as good as its id
        raise BadFile(f"- input.{name}: {error.message}") from None
    if file.account_id == account_id:
        return file
    copied = files.copy(file, account_id=account_id)
    made.append(copied.pk)
    return copied


def _own(name: str, account_id: int, file_id: str) -> File:
    try:
        return files.find(account_id=account_id, file_id=file_id)
    except AppError:
        raise BadFile(f"- input.{name}: there is no such file in this account (it may have expired)") from None


def _decode(name: str, uri: str) -> tuple[bytes, str]:
    head, comma, body = uri[5:].partition(",")
    if not comma:
        raise BadFile(f"- input.{name}: is not a data URI (it has no comma)")
    kind, *parameters = head.split(";")
    try:
        content = base64.b64decode(body, validate=True) if "base64" in parameters else unquote_to_bytes(body)
    except (ValueError, binascii.Error):
        raise BadFile(f"- input.{name}: the data URI is not valid base64") from None
    return content, (kind or "text/plain").lower()


def fetch(*, prediction: Prediction, folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Bring every input file into `folder`: the input, and the strings in it that stand for which local file.

    A plain data URI stays in the input. Called by the worker; blocks on the network. Raises BadFile with the reason,
    which the caller is to read.
    """
    document = prediction.document
    given: dict[str, Any] = dict(prediction.input)
    local: dict[str, Path] = {}
    for name, value, put in _places(document, given):
        if _PLAIN.match(value):
            continue  # what Cog reads itself is in its hands sooner than by a file
        target = folder / f"{len(local)}"
        if value.startswith(files.SCHEME):
            file = _own(name, prediction.account_id, value.removeprefix(files.SCHEME))
            _copy(file, target)
            kept = file.name
        elif value.startswith("data:"):
            content, content_type = _decode(name, value)
            target.write_bytes(content)
            kept = f"{name}{mimetypes.guess_extension(content_type) or ''}"
        else:
            kept = _download(name, value, target)
        stand_in = f"input-file:{len(local)}/{kept}"
        local[stand_in] = target
        put(stand_in)
    return given, local


def _places(document: Mapping[str, Any], given: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[str], None]]]:
    for name in sorted(schema.file_inputs(document)):
        value = given.get(name)
        if isinstance(value, str):
            yield name, value, lambda stand_in, name=name: given.__setitem__(name, stand_in)  # type: ignore[misc]
        elif isinstance(value, list):
            given[name] = copied = list(value)
            for position, one in enumerate(copied):
                if isinstance(one, str):
                    yield name, one, lambda stand_in, where=copied, at=position: where.__setitem__(at, stand_in)  # type: ignore[misc]


def _copy(file: File, target: Path) -> None:
    with default_storage.open(file.path, "rb") as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1024 * 1024)


def _download(name: str, url: str, target: Path) -> str:
    with target.open("wb") as out:
        try:
            got = http.fetch(
                url,
                write=out.write,
                max_bytes=limits.MAX_FILE_BYTES,
                seconds=limits.FETCH_SECONDS,
                private_origins=settings.PRIVATE_ORIGINS,
            )
        except (http.FetchFailed, Refused) as error:
            raise BadFile(f"The file for input {name} could not be fetched: {error}.") from None
    return got.name
