"""Publishing: an archive, a repository or an image becomes a build, and the build a model's next version."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from typing import IO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.db import transaction

from execution import limits, package
from execution.builders import repository
from execution.models import Build, new_id
from execution.services import builds, listings, trust, uploads
from marketplace.lib import crypto, jobs
from marketplace.lib.addresses import Refused
from marketplace.lib.errors import Conflict, InvalidRequest, PayloadTooLarge, Unprocessable
from marketplace.models import Account, Hardware, Model
from marketplace.models.accounts import SLUG
from marketplace.services import accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The model that a version is for; all but the slug counts only where there is no such model yet."""

    slug: str
    name: str = ""
    description: str = ""
    hardware: str = "cpu"
    visibility: str = Model.Visibility.PUBLIC


def publish(*, account: Account, listing: Listing, archive: IO[bytes], archive_name: str, ring: bool = True) -> Build:
    """Store an archive, make its model where there is none yet, and queue the build.

    Raises InvalidRequest for a bad name, Unprocessable for unknown hardware or a file that is no zip, PayloadTooLarge,
    Forbidden when this account's code may not run here.
    """
    machine = _admit(account, listing)
    if not zipfile.is_zipfile(archive):
        raise Unprocessable("The file is not a zip archive: upload a .zip with cog.yaml and your predictor in it.")
    build_id = new_id()
    path, digest = _store(archive, f"sources/{account.pk}/{build_id}.zip")
    with transaction.atomic():
        build = Build(id=build_id, source_path=path, source_name=archive_name[-255:], source_sha256=digest)
        return _queue(build, account, listing, machine, ring=ring)


def publish_upload(*, account: Account, listing: Listing, upload_id: str) -> Build:
    """Build an upload that is complete; it is used up. Raises what `publish` raises, NotFound, Conflict."""
    machine = _admit(account, listing)
    row = uploads.find(account_id=account.pk, upload_id=upload_id)
    if not row.path:
        raise Conflict(f"This upload is not complete: {row.received} of {row.size} bytes are here.")
    with transaction.atomic():
        if not uploads.take(row=row):
            raise Conflict("This upload is being published by another request.")
        build = Build(source_path=row.path, source_name=row.name, source_sha256=row.sha256)
        return _queue(build, account, listing, machine)


def publish_repository(*, account: Account, listing: Listing, url: str, ref: str = "") -> Build:
    """Build a public Git repository at a branch, tag or commit; the worker fetches it.

    Raises what `publish` raises, Unprocessable for an address that is none, or that may not be called from here.
    """
    machine = _admit(account, listing)
    try:
        found = package.read_repository(url=url, ref=ref, plain_origins=settings.PRIVATE_ORIGINS)
        repository.check(found, private_origins=settings.PRIVATE_ORIGINS)
    except (package.PackageError, Refused) as error:
        raise Unprocessable(f"The repository cannot be fetched: {error}") from None
    with transaction.atomic():
        build = Build(source=Build.Source.GIT, source_url=found.url, source_ref=found.ref)
        build.source_name = f"{found.url} at {found.ref}"[:255]
        return _queue(build, account, listing, machine)


def publish_image(
    *, account: Account, listing: Listing, reference: str, username: str = "", password: str = ""
) -> Build:
    """Make a version of an image that Cog has built, from one of the operator's registries; the worker pulls it.

    The user name and password are kept encrypted until the build ends. Raises what `publish` raises, Unprocessable for
    a reference that is none.
    """
    machine = _admit(account, listing)
    try:
        found = package.read_image(reference, registries=settings.IMAGE_REGISTRIES)
    except package.PackageError as error:
        raise Unprocessable(f"The image cannot be taken: {error}") from None
    if bool(username) != bool(password):
        raise Unprocessable("A registry takes a user name and a password together: give both, or none.")
    with transaction.atomic():
        build = Build(source=Build.Source.IMAGE, source_url=found.text, source_name=found.text[-255:])
        if password:
            secret = {"username": username, "password": password}
            build.source_secret = crypto.encrypt(secret, context=builds.secret_of(build.pk))
        return _queue(build, account, listing, machine)


def _admit(account: Account, listing: Listing) -> Hardware:
    trust.require(account=account)
    try:
        SLUG(listing.slug)
    except ValidationError:
        raise InvalidRequest(str(SLUG.message)) from None
    listings.described({"description": listing.description})
    if listing.visibility not in Model.Visibility.values:
        raise Unprocessable(f"`visibility` is {' or '.join(Model.Visibility.values)}.")
    machine = Hardware.objects.filter(sku=listing.hardware, is_active=True).first()
    if machine is None:
        known = ", ".join(Hardware.objects.filter(is_active=True).values_list("sku", flat=True))
        raise Unprocessable(f"There is no hardware {listing.hardware!r}: `hardware` is one of {known}.")
    return machine


def _queue(build: Build, account: Account, listing: Listing, machine: Hardware, *, ring: bool = True) -> Build:
    """Write the build with its model, in the caller's transaction, and tell a worker."""
    model, made = Model.objects.get_or_create(
        publisher=accounts.publisher_of(account=account),
        slug=listing.slug,
        defaults={
            "name": listing.name or listing.slug,
            "description": listing.description,
            "visibility": listing.visibility,
            "hardware": machine,
            "royalty_bps": settings.PUBLISHER_ROYALTY_BPS,
        },
    )
    if not made and model.hardware_id is None:
        raise InvalidRequest(f"{model.full_slug} is served by providers; choose another name for a hosted model.")
    build.account, build.model = account, model
    build.save(force_insert=True)
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
            most = limits.MAX_FILE_BYTES // limits.MEBIBYTE
            raise PayloadTooLarge(f"An archive that is sent at once is at most {most} MB: send larger ones in parts.")
    archive.seek(0)
    return default_storage.save(wanted, StorageFile(archive)), digest.hexdigest()
