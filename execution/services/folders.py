"""Publishing a folder of this machine: the demo's and the operator's way."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Final

from django.db.models import QuerySet

from execution.models import Build
from execution.services import build_runs, builds, publishing
from execution.states import BuildStatus
from marketplace.lib.errors import NotFound, Unprocessable
from marketplace.models import Account, Version

_SKIPPED: Final = frozenset({"__pycache__", ".git", ".cog", ".venv"})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def publish(*, account: Account, slug: str, folder: Path, name: str = "", description: str = "") -> Version:
    """Publish a folder and build it here and now; the same content again is the same version, at once.

    Raises what `publish` raises, and Unprocessable with the build's error.
    """
    known = published(account=account, slug=slug, folder=folder)
    if known is not None:
        return known
    build = _upload(account, slug, folder, name=name, description=description, ring=False)
    build_runs.run(build_id=build.pk, owner="publish command")
    build.refresh_from_db()
    if build.version is None:
        raise Unprocessable(build.error or f"The build ended as {build.status}.")
    return build.version


def published(*, account: Account, slug: str, folder: Path) -> Version | None:
    """The version that the folder's content became earlier, where its build is still there."""
    for earlier in _builds(account, slug, folder).filter(status=BuildStatus.SUCCEEDED).select_related("version"):
        if earlier.version is not None and builds.folder(earlier.version.build_path).is_dir():
            return earlier.version
    return None


def queue(*, account: Account, slug: str, folder: Path) -> Build:
    """Have a worker build the folder; while one does, that build. Raises what `publish` raises."""
    under_way = _builds(account, slug, folder).filter(status__in=[BuildStatus.QUEUED, BuildStatus.BUILDING])
    return under_way.first() or _upload(account, slug, folder, name="", description="", ring=True)


def _builds(account: Account, slug: str, folder: Path) -> QuerySet[Build]:
    """The builds of this content."""
    digest = hashlib.sha256(pack(folder)).hexdigest()
    return Build.objects.for_account(account.pk).filter(model__slug=slug, source_sha256=digest)


def _upload(account: Account, slug: str, folder: Path, *, name: str, description: str, ring: bool) -> Build:
    return publishing.publish(
        account=account,
        listing=publishing.Listing(slug=slug, name=name, description=description),
        archive=io.BytesIO(pack(folder)),
        archive_name=f"{folder.name}.zip",
        ring=ring,
    )


def pack(folder: Path) -> bytes:
    """The folder as a zip whose bytes depend on nothing but its files. Raises NotFound."""
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and not _SKIPPED & set(inside.parts):
                entry = zipfile.ZipInfo(inside.as_posix(), date_time=_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
    return content.getvalue()
