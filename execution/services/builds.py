"""Builds: an upload is unpacked, built and becomes an immutable version, exactly once."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from execution import limits, package
from execution.builders import process
from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits, Built
from execution.models import Build
from execution.services import host
from marketplace.lib import jobs
from marketplace.lib.errors import NotFound
from marketplace.models import Version

logger = structlog.get_logger(__name__)

TASK: Final = "execution.build_version"
QUEUE: Final = "build"
_OPEN: Final = ("queued", "building")
_RING_AFTER: Final = dt.timedelta(seconds=3)
_FLUSH_SECONDS: Final = 0.5


def find(*, account_id: int, build_id: str) -> Build:
    """The account's build. Raises NotFound, also for a stranger's."""
    row = (
        Build.objects.for_account(account_id).select_related("model__publisher", "version").filter(pk=build_id).first()
    )
    if row is None:
        raise NotFound("There is no such build in this account.")
    return row


def begin(*, build_id: str, owner: str, now: dt.datetime | None = None) -> int | None:
    """Claim a queued build; its fence, or None when there is nothing to claim."""
    now = now or timezone.now()
    claimed = Build.objects.filter(pk=build_id, status="queued").update(
        status="building",
        lease_owner=owner,
        lease_expires_at=now + limits.LEASE,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        started_at=now,
        log="",
    )
    return Build.objects.values_list("fence", flat=True).get(pk=build_id) if claimed else None


def _mine(build_id: str, fence: int) -> Q:
    return Q(pk=build_id, fence=fence, status="building")


def end(*, build_id: str, fence: int, status: str, error: str = "", built: Built | None = None) -> bool:
    """The one end of a build; a succeeded one writes its version in the same transaction. False when it had ended."""
    with transaction.atomic():
        done = Build.objects.filter(_mine(build_id, fence)).update(
            status=status, error=error, completed_at=timezone.now(), lease_owner="", lease_expires_at=None
        )
        if not done:
            return False
        if built is not None:
            build = Build.objects.get(pk=build_id)
            version, _ = Version.objects.get_or_create(
                id=built.digest,
                defaults={
                    "model_id": build.model_id,
                    "cog_version": built.cog_version,
                    "openapi_schema": built.schema,
                    "build_path": str(built.folder.relative_to(Path(settings.VAR) / "builds")),
                    "size_bytes": built.size_bytes,
                },
            )
            Build.objects.filter(pk=build_id).update(version=version)
    return True


def cancel(*, account_id: int, build_id: str) -> Build:
    """Stop a build that has not ended; the builder sees it within two seconds. Raises NotFound."""
    find(account_id=account_id, build_id=build_id)
    Build.objects.filter(pk=build_id, status__in=_OPEN).update(
        status="canceled", completed_at=timezone.now(), lease_owner="", lease_expires_at=None
    )
    return find(account_id=account_id, build_id=build_id)


class _Journal:
    """The build's log on its way into the row, and the lease's renewal beside it."""

    def __init__(self, build_id: str, fence: int) -> None:
        self._where = _mine(build_id, fence)
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


def run(*, build_id: str, owner: str, build_limits: BuildLimits | None = None) -> bool:
    """Claim and do one build, from the stored upload to its version; False when there was nothing to claim."""
    fence = begin(build_id=build_id, owner=owner)
    if fence is None:
        return False
    build = Build.objects.get(pk=build_id)
    target = host.build_folder(f"{build_id}-{fence}")
    built: Built | None = None
    with _Journal(build_id, fence) as journal:
        try:
            built = _build(build, target, journal, build_limits or BuildLimits())
        except (BuildFailed, package.PackageError) as error:
            outcome, reason = "failed", str(error)
            journal.line(f"Build failed: {error}")
        except BuildCanceled:
            outcome, reason = "canceled", ""
        except Exception:
            logger.exception("build_broke", build=build_id)
            outcome, reason = "failed", "The build broke on our side; it has been logged. Try again."
        else:
            outcome, reason = "succeeded", ""
            journal.line(f"Published as version {built.digest}")
    won = end(build_id=build_id, fence=fence, status=outcome, error=reason, built=built)
    if built is not None and (not won or not Version.objects.filter(build_path=target.name).exists()):
        shutil.rmtree(target, ignore_errors=True)  # lost the claim, or the same content had been published before
    return True


def _build(build: Build, target: Path, journal: _Journal, build_limits: BuildLimits) -> Built:
    var = Path(settings.VAR)
    parent = var / "run" / "sources"
    parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        source = Path(folder) / "src"
        with default_storage.open(build.source_path, "rb") as archive:
            manifest = package.unpack(archive, source)
        journal.line(f"Unpacked {len(manifest.entries)} files, {manifest.total_bytes:,} bytes")
        return process.build(
            source=source,
            target=target,
            var=var,
            log=journal.line,
            limits=build_limits,
            is_canceled=journal.lost.is_set,
            salt=str(build.model_id),
        )


def poll(*, now: dt.datetime | None = None) -> None:
    """Take back builds of workers that went silent (two tries in all), and ring for queued ones."""
    now = now or timezone.now()
    for build_id, fence, tries in Build.objects.filter(status="building", lease_expires_at__lt=now).values_list(
        "pk", "fence", "attempts"
    ):
        rows = Build.objects.filter(_mine(build_id, fence), lease_expires_at__lt=now)
        if tries >= limits.BUILD_ATTEMPTS:
            rows.update(
                status="failed",
                completed_at=now,
                error=f"The worker that built this was lost {tries} times.",
                lease_owner="",
                lease_expires_at=None,
            )
        else:
            rows.update(status="queued", lease_owner="", lease_expires_at=None)
    waiting = Build.objects.filter(status="queued", rung_at__lt=now - _RING_AFTER)
    for build_id in list(waiting.order_by("created_at").values_list("pk", flat=True)[:4]):
        if waiting.filter(pk=build_id).update(rung_at=now):
            jobs.enqueue(TASK, queue=QUEUE, build_id=build_id)
