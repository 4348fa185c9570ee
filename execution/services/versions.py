"""Publishing: an uploaded archive becomes a model's next version."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import zipfile
from typing import IO, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from execution import limits
from execution.builders import docker as images
from execution.models import Build, Deployment, Prediction, new_id
from execution.services import builds, chats, listings, trust
from execution.states import LIVE
from marketplace.lib import jobs
from marketplace.lib.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unprocessable
from marketplace.models import Account, Hardware, Model, Version
from marketplace.models.accounts import SLUG
from marketplace.services import accounts

REMOVE: Final = "execution.remove_build"


def publish(
    *,
    account: Account,
    slug: str,
    archive: IO[bytes],
    archive_name: str,
    name: str = "",
    description: str = "",
    hardware: str = "cpu",
    visibility: str = Model.Visibility.PUBLIC,
    ring: bool = True,
) -> Build:
    """Store an upload, make its model where there is none yet, and queue the build.

    Raises InvalidRequest for a bad name, Unprocessable for unknown hardware or a file that is no zip, PayloadTooLarge,
    Forbidden when this account's code may not run here.
    """
    trust.require(account=account)
    try:
        SLUG(slug)
    except ValidationError:
        raise InvalidRequest(str(SLUG.message)) from None
    machine = Hardware.objects.filter(sku=hardware, is_active=True).first()
    if machine is None:
        raise Unprocessable(f"There is no hardware {hardware!r}.")
    if not zipfile.is_zipfile(archive):
        raise Unprocessable("The file is not a zip archive: upload a .zip with cog.yaml and your predictor in it.")
    build_id = new_id()
    path, digest = _store(archive, f"sources/{account.pk}/{build_id}.zip")
    with transaction.atomic():
        publisher = accounts.publisher_of(account=account)
        model, made = Model.objects.get_or_create(
            publisher=publisher,
            slug=slug,
            defaults={
                "name": name or slug,
                "description": description,
                "visibility": visibility,
                "hardware": machine,
                "royalty_bps": settings.PUBLISHER_ROYALTY_BPS,
            },
        )
        if not made and model.hardware_id is None:
            raise InvalidRequest(f"{model.full_slug} is served by providers; choose another name for a hosted model.")
        build = Build.objects.create(
            id=build_id,
            account=account,
            model=model,
            source_path=path,
            source_name=archive_name[-255:],
            source_sha256=digest,
        )
        if ring:
            jobs.enqueue(builds.TASK, queue=builds.QUEUE, build_id=build.pk)
    return build


def _store(archive: IO[bytes], wanted: str) -> tuple[str, str]:
    digest, size = hashlib.sha256(), 0
    archive.seek(0)
    while chunk := archive.read(limits.MEBIBYTE):
        digest.update(chunk)
        size += len(chunk)
        if size > limits.MAX_FILE_BYTES:
            raise PayloadTooLarge(f"An upload is at most {limits.MAX_FILE_BYTES // limits.MEBIBYTE} MB.")
    archive.seek(0)
    return default_storage.save(wanted, StorageFile(archive)), digest.hexdigest()


def find(*, account_id: int | None, owner: str, name: str, version_id: str) -> Version:
    """A version of a visible model. Raises NotFound."""
    found = (
        Version.objects.select_related("model__publisher", "model__hardware")
        .filter(model__in=Model.objects.visible_to(account_id).named(f"{owner}/{name}"), pk=version_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no version {version_id} of {owner}/{name}.")
    return found


def delete(*, account_id: int, owner: str, name: str, version_id: str) -> None:
    """Take a version of the account's private model out of use, and its build off the hosts.

    Raises NotFound, Forbidden for another's model, Conflict for a public one or while somebody else has run it.
    """
    model = listings.own(account_id=account_id, owner=owner, name=name)
    version = find(account_id=account_id, owner=owner, name=name, version_id=version_id)
    if model.visibility != Model.Visibility.PRIVATE:
        raise Conflict("Only versions of private models can be deleted: others may rely on a public one.")
    if Prediction.objects.filter(version=version).exclude(account_id=account_id).exists():
        raise Conflict("Another account has run this version, so it stays.")
    if Prediction.objects.filter(version=version, status__in=LIVE).exists():
        raise Conflict("This version is running: cancel its predictions first.")
    deployments = Deployment.objects.annotate(newest=Max("releases__number")).filter(
        releases__number=F("newest"), releases__version=version
    )
    if deployments.exists():
        raise Conflict("A deployment runs this version: give it another one, or delete it, first.")
    with transaction.atomic():
        Version.objects.filter(pk=version.pk).update(deleted_at=timezone.now())
        chats.withdraw(version_id=version.pk)
        jobs.enqueue(REMOVE, queue=builds.QUEUE, version_id=version.pk)


def remove_build(*, version_id: str) -> None:
    """Remove the files of a deleted version from this host."""
    gone = Version.with_deleted.filter(pk=version_id).exclude(deleted_at=None).first()
    if gone is None:
        return
    folder = builds.folder(gone.build_path)
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((folder / "build.json").read_text())
        if record.get("kind") == "docker":
            images.remove(record)
    shutil.rmtree(folder, ignore_errors=True)
