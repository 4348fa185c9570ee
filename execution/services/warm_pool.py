"""A worker's part in keeping official models warm: nobody has asked for these instances, and no wallet pays them.

They are shared instances as any other, so every run of the model finds them. What makes them the pool's is that so many
of them are started ahead of demand, are not let go for being idle, and are pushed out last.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from django.db import connection

from execution import limits, schema
from execution.agent.agent import Agent
from execution.agent.leases import Lease
from execution.runtimes.base import RuntimeFailure
from execution.scheduling import pools
from execution.services import copies, host, hosts, official, trust
from execution.services.hosts import Worker
from marketplace.lib.errors import Forbidden
from marketplace.models import Version

logger = structlog.get_logger(__name__)

# A place is taken from an ordinary model only when nobody has used that for so long, in seconds.
UNUSED_SECONDS: Final = 60.0
# How long the best host has the first right to a missing instance: as for the places of deployments.
YIELD_SECONDS: Final = 3.0


class WarmPool:
    """Of one agent; `tick` is called every second, before the host speaks."""

    def __init__(self, *, agent: Agent, worker: Worker) -> None:
        self._agent = agent
        self._worker = worker
        self._lacking_since: dict[str, float] = {}
        self._failed_at: dict[str, float] = {}

    def tick(self) -> None:
        """Favour this host's part, and start what is missing where this is the host for it."""
        favoured: dict[str, int] = {}
        for version, wanted in official.to_keep_warm(hardware=self._worker.hardware):
            said = official.standing(version_id=version.pk, hardware=self._worker.hardware)
            standing = {**said, self._worker.name: self._own(version.pk)}
            favoured[version.pk] = pools.share(standing, wanted=wanted, host=self._worker.name)
            if not pools.lacking(standing, wanted=wanted):
                self._lacking_since.pop(version.pk, None)
            elif self._is_ours(version) and self._start(version):
                favoured[version.pk] += 1  # it may be idle before the next tick
        self._agent.favour(favoured)

    def _own(self, version_id: str) -> int:
        seats, _ = self._agent.outlook()
        return sum(seat.version == version_id and not seat.pool for seat in seats)

    def _is_ours(self, version: Version) -> bool:
        """The best host takes it; another one once it has been missing for a while. One that cannot run it never."""
        now = time.monotonic()
        since = self._lacking_since.setdefault(version.pk, now)
        failed = self._failed_at.get(version.pk)
        if failed is not None and now - failed < limits.SETUP_PAUSE.total_seconds():
            return False
        if not copies.is_here(version) and hosts.is_built_elsewhere(version=version, hardware=self._worker.hardware):
            return False
        if schema.chat_offer(version.openapi_schema) is not None and not host.serves_chats():
            return False
        is_best = hosts.is_best(name=self._worker.name, version=version, hardware=self._worker.hardware)
        return is_best or now - since >= YIELD_SECONDS

    def _start(self, version: Version) -> bool:
        """Take a place that nobody misses and start the model there behind all else; False when there is none."""
        try:
            trust.require_code_of(version)
        except Forbidden:
            return False
        lease = self._agent.spare(host.spec_of(version), unused_seconds=UNUSED_SECONDS)
        if lease is None:
            return False
        threading.Thread(target=self._bring_up, args=(version, lease), name="pool-start", daemon=True).start()
        return True

    def _bring_up(self, version: Version, lease: Lease) -> None:
        version_id = version.pk
        try:
            with lease:
                copies.bring(
                    version=version,
                    log=lambda line: logger.debug("build_copied", version=version_id, line=line),
                    is_canceled=lambda: False,
                )
                for _ in lease.start():
                    continue
            self._failed_at.pop(version_id, None)
        except (RuntimeFailure, copies.CannotCopy) as error:
            self._failed_at[version_id] = time.monotonic()
            logger.warning("official_model_not_started", version=version_id, reason=error.message)
        except Exception:
            self._failed_at[version_id] = time.monotonic()
            logger.exception("official_model_not_started", version=version_id)
        finally:
            connection.close()
