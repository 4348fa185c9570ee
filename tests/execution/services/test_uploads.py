"""Archives in parts: in order, as they were sent, each account's own, and gone in time."""

import base64
import datetime as dt
import hashlib
import io
import zipfile
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from execution import limits
from execution.models import Build, Upload
from execution.services import publishing, retention, uploads
from execution.services.publishing import Listing
from marketplace.lib.errors import AppError, Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unprocessable
from marketplace.models import Account
from tests.factories.execution import hardware, payer

pytestmark = pytest.mark.django_db

PART = 1000


def packed(size: int = 2_500) -> bytes:
    """A zip of about so many bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("cog.yaml", "x")
        archive.writestr("weights", hashlib.shake_256(b"weights").digest(size))
    return content.getvalue()


ARCHIVE = packed()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(limits, "PART_BYTES", PART)
    return payer("0", email="maker@example.com", slug="maker")


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def begin(account: Account, content: bytes = ARCHIVE) -> Upload:
    return uploads.begin(account=account, name="model.zip", size=len(content))


def send(row: Upload, offset: int, whole: bytes = ARCHIVE, **more: Any) -> Upload:
    part = whole[offset : offset + PART]
    return uploads.append(account_id=row.account_id, upload_id=row.pk, offset=str(offset), **{"content": part, **more})


def send_all(row: Upload, content: bytes = ARCHIVE, *, with_digests: bool = False) -> None:
    for offset in range(0, len(content), PART):
        send(row, offset, content, digest=digest(content[offset : offset + PART]) if with_digests else "")


def complete(row: Upload, sha256: str = "") -> Upload:
    return uploads.complete(account_id=row.account_id, upload_id=row.pk, sha256=sha256)


def files_of(row: Upload) -> list[str]:
    try:
        return default_storage.listdir(f"uploads/{row.account_id}/{row.pk}")[1]
    except FileNotFoundError:
        return []


def test_the_parts_become_one_archive_and_a_build(account: Account) -> None:
    hardware()
    row = begin(account)
    send_all(row)
    row = complete(row, hashlib.sha256(ARCHIVE).hexdigest().upper())
    assert files_of(row) == []
    assert complete(row).path == row.path
    build = publishing.publish_upload(account=account, listing=Listing(slug="big"), upload_id=row.pk)
    assert (build.source_name, build.source_sha256) == ("model.zip", hashlib.sha256(ARCHIVE).hexdigest())
    with default_storage.open(build.source_path, "rb") as stored:
        assert stored.read() == ARCHIVE
    with pytest.raises(NotFound):
        publishing.publish_upload(account=account, listing=Listing(slug="big"), upload_id=row.pk)
    assert Build.objects.count() == 1


def test_every_parts_own_digest_stands_for_the_whole_ones(account: Account) -> None:
    row = begin(account)
    send_all(row, with_digests=True)
    assert complete(row).sha256 == hashlib.sha256(ARCHIVE).hexdigest()
    other = begin(account)
    send_all(other)
    with pytest.raises(InvalidRequest, match="sha256"):
        complete(other)


def test_it_goes_on_where_it_stands(account: Account) -> None:
    row = begin(account)
    assert send(row, 0).received == PART
    for offset in (0, 2 * PART):
        with pytest.raises(Conflict, match=f"byte {PART}") as told:
            send(row, offset)
        assert told.value.metadata == {"offset": PART}
    with pytest.raises(Conflict, match=f"byte {PART}"):
        complete(row, "0" * 64)
    assert send(row, PART).received == 2 * PART
    assert len(files_of(row)) == 2


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"content": b"x" * (PART + 1)}, PayloadTooLarge, "has 1000 bytes, and 1001 came"),
        ({"content": b"x"}, InvalidRequest, "has 1000 bytes, and 1 came"),
        ({"digest": digest(b"another")}, Unprocessable, "did not arrive as it was sent"),
        ({"digest": "md5=:x:"}, InvalidRequest, "sha-256=:"),
    ],
)
def test_a_part_that_is_not_what_was_announced_is_not_kept(
    account: Account, change: dict[str, Any], error: type[AppError], says: str
) -> None:
    row = begin(account)
    with pytest.raises(error, match=says):
        send(row, 0, **change)
    assert files_of(row) == []
    assert send(row, 0).received == PART


@pytest.mark.parametrize(
    ("content", "sha256", "says"),
    [(ARCHIVE, "0" * 64, "did not arrive as it was sent"), (b"no zip at all", "", "not a zip archive")],
)
def test_a_whole_that_cannot_be_used_is_forgotten(account: Account, content: bytes, sha256: str, says: str) -> None:
    row = begin(account, content)
    send_all(row, content, with_digests=True)
    with pytest.raises(Unprocessable, match=says):
        complete(row, sha256)
    assert files_of(row) == []
    assert not Upload.objects.exists()
    assert not default_storage.exists(f"sources/{account.pk}/{row.pk}.zip")


@pytest.mark.parametrize(
    ("name", "size", "error", "says"),
    [
        ("model.tar", 5, Unprocessable, "upload a .zip"),
        ("model.zip", limits.MAX_ARCHIVE_BYTES + 1, PayloadTooLarge, "at most 2048 MB"),
        ("model.zip", 0, InvalidRequest, "size"),
        ("model.zip", True, InvalidRequest, "size"),
        (None, 5, InvalidRequest, "name"),
        ("nul\x00.zip", 5, InvalidRequest, "control character"),
    ],
)
def test_what_cannot_become_a_model_is_refused_before_it_is_sent(
    account: Account, name: Any, size: Any, error: type[AppError], says: str
) -> None:
    with pytest.raises(error, match=says):
        uploads.begin(account=account, name=name, size=size)
    assert not Upload.objects.exists()


def test_an_account_has_only_so_much_under_way(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOADED_AT_ONCE_BYTES", 2 * len(ARCHIVE))
    first = begin(account)
    begin(account)
    with pytest.raises(Conflict, match="together"):
        begin(account)
    uploads.remove(first)
    begin(account, b"x")
    other = payer("0", email="other@example.com", slug="other")
    assert begin(other).received == 0
    with pytest.raises(NotFound):
        uploads.find(account_id=other.pk, upload_id=first.pk)


def test_one_that_nobody_goes_on_with_is_removed(account: Account) -> None:
    row = begin(account)
    send(row, 0)
    retention.remove_old_data(now=timezone.now() + limits.UPLOAD_LIFE - dt.timedelta(minutes=1))
    assert len(files_of(row)) == 1
    retention.remove_old_data(now=timezone.now() + limits.UPLOAD_LIFE + dt.timedelta(minutes=1))
    assert files_of(row) == []
    assert not Upload.objects.exists()
