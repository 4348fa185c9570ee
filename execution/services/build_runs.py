"""A worker's way with builds: get the sources, build them, tell what happens, end."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.core.files.base import File as StorageFile
from django.core.files.storage import default_storage
from django.db import close_old_connections, connection
from django.utils import timezone

from execution import builders, limits, package, schema, texts
from execution.builders import image, repository
from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits, Built
from execution.models import Build
from execution.runtimes import host
from execution.services import builds, chats, recipes
from marketplace.lib import crypto
from marketplace.lib.errors import Unprocessable
from marketplace.models import Version

logger = structlog.get_logger(__name__)

_FLUSH_SECONDS: Final = 0.5
_places = threading.BoundedSemaphore(limits.BUILDS_AT_ONCE)


class _Journal:
    """The build's log on its way into the row, and the lease's renewal beside it."""

    def __init__(self, build_id: str, fence: int) -> None:
        self._where = builds.mine(build_id, fence)
        self._lines: list[str] = []
        self._size = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"build-{build_id}", daemon=True)

    def __enter__(self) -> _Journal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        Build.objects.filter(self._where).update(log=self.text())

    def line(self, text: str) -> None:
        """Add one line; past the limit the log says so once and stays."""
        text = texts.text(text)
        with self._lock:
            if self._size > limits.MAX_LOG_CHARACTERS:
                return
            self._size += len(text) + 1
            cut = self._size > limits.MAX_LOG_CHARACTERS
            self._lines.append(f"[the log is cut at {limits.MAX_LOG_CHARACTERS:,} characters]" if cut else text)

    def text(self) -> str:
        """The log so far."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines)

    def _beat(self) -> None:
        written, last_success = 0, time.monotonic()
        try:
            while not self._over.wait(_FLUSH_SECONDS) and not self.lost.is_set():
                try:
                    changes: dict[str, object] = {"lease_expires_at": timezone.now() + limits.LEASE}
                    if len(self._lines) != written:
                        written = len(self._lines)
                        changes["log"] = self.text()
                    if not Build.objects.filter(self._where).update(**changes):
                        self.lost.set()
                    last_success = time.monotonic()
                except Exception:
                    logger.exception("build_heartbeat_failed")
                    close_old_connections()
                    if time.monotonic() - last_success > limits.LEASE.total_seconds():
                        self.lost.set()
        finally:
            connection.close()


def work(*, build_id: str, owner: str) -> int:
    """Do this build and then others that wait, as long as this worker has a place for builds; returns how many.

    Never waits for a place: builds take minutes, and the worker's threads are there for runs too.
    """
    done = 0
    wanted: str | None = build_id
    while wanted is not None and _places.acquire(blocking=False):
        try:
            done += run(build_id=wanted, owner=owner)
        finally:
            _places.release()
        wanted = builds.next_queued()
    return done


def run(*, build_id: str, owner: str, build_limits: BuildLimits | None = None) -> bool:
    """Claim and do one build, from the stored upload to its version; False when there was nothing to claim."""
    fence = builds.begin(build_id=build_id, owner=owner)
    if fence is None:
        return False
    build = Build.objects.get(pk=build_id)
    target = builds.folder(f"{build_id}-{fence}")
    built: Built | None = None
    with _Journal(build_id, fence) as journal:
        try:
            built = _build(build, fence, target, journal, build_limits or BuildLimits())
        except (BuildFailed, package.PackageError) as error:
            outcome, reason = "failed", texts.text(str(error))
            journal.line(f"Build failed: {error}")
        except BuildCanceled:
            outcome, reason = "canceled", ""
        except Exception:
            logger.exception("build_broke", build=build_id)
            outcome, reason = "failed", "The build broke on our side; it has been logged. Try again."
        else:
            outcome, reason = "succeeded", ""
            journal.line(f"Published as version {built.digest}")
    won = builds.end(build_id=build_id, fence=fence, status=outcome, error=reason, built=built)
    if built is not None:
        _settle(built, target, won=won)
    return True


def _settle(built: Built, target: Path, *, won: bool) -> None:
    """Leave the version's build where it is looked for, and what other hosts need to make it.

    The same content may have been published before: its build lies on this host, or on another one, or was deleted.
    """
    version = Version.objects.filter(pk=built.digest).first() if won else None
    if version is None:
        shutil.rmtree(target, ignore_errors=True)  # lost the claim
        return
    place = builds.folder(version.build_path)
    if place != target and not place.exists():
        target.rename(place)
    elif place != target:
        shutil.rmtree(target, ignore_errors=True)
    recipes.keep(version)


def _build(build: Build, fence: int, target: Path, journal: _Journal, build_limits: BuildLimits) -> Built:
    var = Path(settings.VAR)
    parent = var / "run" / "sources"
    parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if build.source == Build.Source.IMAGE:
        return _checked(_take(build, fence, target, journal, build_limits), target)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        source = Path(folder) / "src"
        archive_path = build.source_path or _fetch(build, fence, Path(folder), journal, build_limits)
        with default_storage.open(archive_path, "rb") as archive:
            manifest = package.unpack(archive, source)
        journal.line(f"Unpacked {len(manifest.entries)} files, {manifest.total_bytes:,} bytes")
        repository.refuse_pointers(source)
        built = builders.load(kind=host.chosen())(
            source=source,
            target=target,
            var=var,
            log=journal.line,
            limits=build_limits,
            is_canceled=journal.lost.is_set,
            salt=str(build.model_id),
        )
    return _checked(built, target)


def _checked(built: Built, target: Path) -> Built:
    """The build, if what it says of itself can be shown and served. Raises BuildFailed, and then `target` is gone."""
    try:
        schema.modalities(built.schema)
        if schema.chat_offer(built.schema) is not None:
            chats.address()
    except schema.InvalidSchema as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BuildFailed(f"The inputs or outputs of the predictor cannot be used: {error}.") from None
    except Unprocessable as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BuildFailed(error.message) from None
    return built


def _fetch(build: Build, fence: int, folder: Path, journal: _Journal, build_limits: BuildLimits) -> str:
    """Fetch the build's repository and store it; the archive's name in the storage.

    From then on the build is like an upload's: what comes after has no network and can be tried again.
    """
    got = repository.fetch(
        package.read_repository(url=build.source_url, ref=build.source_ref, plain_origins=settings.PRIVATE_ORIGINS),
        folder=folder,
        private_origins=settings.PRIVATE_ORIGINS,
        log=journal.line,
        is_canceled=journal.lost.is_set,
        build_limits=build_limits,
    )
    with got.archive.open("rb") as archive:
        digest = hashlib.file_digest(archive, "sha256").hexdigest()
        archive.seek(0)
        path = default_storage.save(f"sources/{build.account_id}/{build.pk}.zip", StorageFile(archive))
    if not builds.keep_source(build_id=build.pk, fence=fence, path=path, sha256=digest, revision=got.commit):
        default_storage.delete(path)
        raise BuildCanceled("Canceled.")
    return path


def _take(build: Build, fence: int, target: Path, journal: _Journal, build_limits: BuildLimits) -> Built:
    """Make a version of the build's image."""
    secret = build.source_secret
    return image.build(
        package.read_image(build.source_url, registries=settings.IMAGE_REGISTRIES),
        credentials=crypto.decrypt(secret, context=builds.secret_of(build.pk)) if secret else {},
        pinned=partial(_keep_digest, build.pk, fence),
        target=target,
        log=journal.line,
        limits=build_limits,
        is_canceled=journal.lost.is_set,
        salt=str(build.model_id),
    )


def _keep_digest(build_id: str, fence: int, digest: str) -> None:
    if not builds.keep_source(build_id=build_id, fence=fence, path="", sha256="", revision=digest):
        raise BuildCanceled("Canceled.")
