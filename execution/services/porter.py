"""What a worker does beside its runs since hosts share no disk: keeps recipes, brings chats, clears deleted builds.

A thread of its own, since making a build takes minutes. Builds for predictions are brought by the run that needs them
(`services/runs`), those of deployments and of the warm pool by whoever starts them.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from django.db import connection

from execution.builders.base import BuildCanceled
from execution.services import builds, chats, copies, host, recipes
from marketplace.models import Version

logger = structlog.get_logger(__name__)

ROUND_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 300.0  # after a build that could not be made here


class Porter:
    """Of one worker; `tick` is called by a thread of its own."""

    def __init__(self) -> None:
        self._kept: set[str] = set()
        self._failed_at: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="porter", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """Bring nothing more; what is being made is left."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        try:
            while not self._over.wait(ROUND_SECONDS):
                try:
                    self.tick()
                except Exception:
                    logger.exception("porter_failed")
                    connection.close()
        finally:
            connection.close()

    def tick(self) -> None:
        """One round."""
        self._clear()
        self._keep()
        if host.serves_chats():
            for version in chats.offered_elsewhere():
                if self._bring(version):
                    chats.offer_here(version=version)

    def _clear(self) -> None:
        """Who deletes a version tells one host; the others find out here."""
        for version in Version.with_deleted.exclude(deleted_at=None):
            folder = builds.folder(version.build_path)
            if folder.is_dir() and Version.with_deleted.filter(pk=version.pk).exclude(deleted_at=None).exists():
                builds.discard(folder)

    def _keep(self) -> None:
        """Recipes of builds whose worker died before it kept them, or that an earlier Turnpike made."""
        for version in Version.objects.exclude(build_path="").exclude(pk__in=self._kept):
            if copies.is_here(version):
                recipes.keep(version)
                self._kept.add(version.pk)

    def _bring(self, version: Version) -> bool:
        failed = self._failed_at.get(version.pk)
        if self._over.is_set() or (failed is not None and time.monotonic() - failed < PAUSE_SECONDS):
            return False
        try:
            copies.bring(version=version, log=_note, is_canceled=self._over.is_set)
        except copies.CannotCopy:
            self._failed_at[version.pk] = time.monotonic()
            return False
        except BuildCanceled:
            return False
        return True


def _note(line: str) -> None:
    logger.debug("build_copied", line=line)
