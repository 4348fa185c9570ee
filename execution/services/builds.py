"""Builds as rows: claimed by one worker at a time, ended once, turned into an immutable version."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from execution import limits, schema
from execution.builders import version_image
from execution.builders.base import Built
from execution.models import Build
from execution.services import chats
from execution.states import BuildStatus
from marketplace.lib import jobs
from marketplace.lib.errors import Conflict, NotFound
from marketplace.models import Model, Version

TASK: Final = "execution.build_version"
QUEUE: Final = "build"
_SOURCES: Final = tuple(field.name for field in Build._meta.fields if field.name.startswith("source"))
# An end lets go of the worker's claim, and of what opened the sources.
_LET_GO: Final[dict[str, Any]] = {"lease_owner": "", "lease_expires_at": None, "source_secret": ""}
_OPEN: Final = ("queued", "building")
_RING_AFTER: Final = dt.timedelta(seconds=3)


def find(*, account_id: int, build_id: str) -> Build:
    """The account's build. Raises NotFound, also for a stranger's."""
    row = (
        Build.objects.for_account(account_id).select_related("model__publisher", "version").filter(pk=build_id).first()
    )
    if row is None:
        raise NotFound("There is no such build in this account.")
    return row


@dataclass(frozen=True, slots=True)
class LogNews:
    """What a build's log has said since a position: `attempt:characters`. `is_anew`: another attempt has begun."""

    text: str
    position: str
    status: str
    is_anew: bool
    is_over: bool


def log_since(*, account_id: int, build_id: str, position: str) -> LogNews:
    """The log from a position on; from the beginning where the position is none of ours. Raises NotFound."""
    row = find(account_id=account_id, build_id=build_id)
    attempt, _, offset = position.partition(":")
    known = attempt.isdecimal() and offset.isdecimal()
    is_same = known and int(attempt[:9]) == row.attempts and int(offset[:9]) <= len(row.log)
    return LogNews(
        text=row.log[int(offset[:9]) :] if is_same else row.log,
        position=f"{row.attempts}:{len(row.log)}",
        status=row.status,
        is_anew=bool(position) and not is_same,
        is_over=row.is_over,
    )


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


def next_queued() -> str | None:
    """The oldest build that waits."""
    return Build.objects.filter(status="queued").order_by("created_at").values_list("pk", flat=True).first()


def folder(build_path: str) -> Path:
    """Where a version's build lies on this machine."""
    return Path(settings.VAR) / "builds" / build_path


def discard(folder: Path) -> None:
    """Remove a version's build from this host: its files, and its image where it has one. Gone already is fine."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((folder / "build.json").read_text())
        if record.get("kind") == "docker":
            version_image.remove(record)
    shutil.rmtree(folder, ignore_errors=True)


def mine(build_id: str, fence: int) -> Q:
    """The condition under which a write of one claim counts."""
    return Q(pk=build_id, fence=fence, status="building")


def secret_of(build_id: str) -> str:
    """The place for which what opens a build's sources is encrypted."""
    return f"build:{build_id}"


def keep_source(*, build_id: str, fence: int, path: str, sha256: str, revision: str) -> bool:
    """Write down what was fetched for a build; False when the claim is lost."""
    found = {"source_path": path, "source_sha256": sha256, "source_revision": revision}
    return bool(Build.objects.filter(mine(build_id, fence)).update(**found))


def end(*, build_id: str, fence: int, status: str, error: str = "", built: Built | None = None) -> bool:
    """The one end of a build; a succeeded one writes its version in the same transaction. False when it had ended."""
    with transaction.atomic():
        done = Build.objects.filter(mine(build_id, fence)).update(
            status=status, error=error, completed_at=timezone.now(), **_LET_GO
        )
        if not done:
            return False
        if built is not None:
            build = Build.objects.get(pk=build_id)
            version, _ = Version.with_deleted.get_or_create(
                id=built.digest,
                defaults={
                    "model_id": build.model_id,
                    "cog_version": built.cog_version,
                    "openapi_schema": built.schema,
                    "build_path": str(built.folder.relative_to(Path(settings.VAR) / "builds")),
                    "size_bytes": built.size_bytes,
                    "source_url": build.source_url,
                    "source_revision": build.source_revision,
                    "concurrency": built.concurrency,
                    "gpu_memory_mib": built.gpu_memory_mib,
                },
            )
            if version.deleted_at is not None:  # the same content again, after its version was deleted
                Version.with_deleted.filter(pk=version.pk).update(deleted_at=None)
            Build.objects.filter(pk=build_id).update(version=version)
            chats.offer(version=Version.objects.select_related("model__publisher").get(pk=version.pk))
            into, out = schema.modalities(built.schema)
            Model.objects.filter(pk=build.model_id).update(input_modalities=into, output_modalities=out)
    return True


def cancel(*, account_id: int, build_id: str) -> Build:
    """Stop a build that has not ended; the builder sees it within two seconds. Raises NotFound."""
    find(account_id=account_id, build_id=build_id)
    Build.objects.filter(pk=build_id, status__in=_OPEN).update(
        status="canceled", completed_at=timezone.now(), **_LET_GO
    )
    return find(account_id=account_id, build_id=build_id)


def retry(*, account_id: int, build_id: str) -> Build:
    """Queue the same sources once more, as a build of its own, after one that failed or was canceled.

    A repository that had been fetched is not fetched again: it is the same commit.

    Raises NotFound, Conflict while the build goes on or when it has succeeded.
    """
    old = find(account_id=account_id, build_id=build_id)
    if old.status not in (BuildStatus.FAILED, BuildStatus.CANCELED):
        raise Conflict(f"This build is {old.status}: only one that failed or was canceled can be tried again.")
    with transaction.atomic():
        fresh = Build.objects.create(
            account_id=account_id,
            model=old.model,
            **{name: getattr(old, name) for name in _SOURCES},
        )
        jobs.enqueue(TASK, queue=QUEUE, build_id=fresh.pk)
    return fresh


def poll(*, now: dt.datetime | None = None) -> None:
    """Take back builds of workers that went silent (two tries in all), and ring for queued ones."""
    now = now or timezone.now()
    for build_id, fence, tries in Build.objects.filter(status="building", lease_expires_at__lt=now).values_list(
        "pk", "fence", "attempts"
    ):
        rows = Build.objects.filter(mine(build_id, fence), lease_expires_at__lt=now)
        if tries >= limits.BUILD_ATTEMPTS:
            rows.update(
                status="failed",
                completed_at=now,
                error=f"The worker that built this was lost {tries} times.",
                **_LET_GO,
            )
        else:
            rows.update(status="queued", lease_owner="", lease_expires_at=None)
    waiting = Build.objects.filter(status="queued", rung_at__lt=now - _RING_AFTER)
    for build_id in list(waiting.order_by("created_at").values_list("pk", flat=True)[:4]):
        if waiting.filter(pk=build_id).update(rung_at=now):
            jobs.enqueue(TASK, queue=QUEUE, build_id=build_id)
