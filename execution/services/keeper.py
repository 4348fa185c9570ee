"""A worker's keeper: a thread beside the agent that starts, pays and stops the instances of deployments.

It follows what the scaler has written: every second it beats for what it keeps, lets go what is no longer wanted,
takes free places, sees to it that waiting predictions reach instances that have room, keeps official models warm, and
tells of this host.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from django.db import connection
from django.db.models import Count, Max, Q
from django.utils import timezone

from execution import limits
from execution.agent.agent import Agent
from execution.agent.leases import Kept
from execution.builders.base import BuildCanceled
from execution.models import Deployment, Release, WarmInstance
from execution.runtimes.base import SetupFailed, StartFailed
from execution.services import attempts, copies, doors, host, hosts, instances, releases, runs
from execution.services.hosts import Voice, Worker
from execution.services.porter import Porter
from execution.services.releases import SETUP, START
from execution.services.warm_pool import WarmPool
from execution.states import Status

logger = structlog.get_logger(__name__)

TICK_SECONDS: Final = 1.0
YIELD_SECONDS: Final = 3.0


@dataclass(slots=True)
class Charge:
    """What this keeper answers for: a row, its slot, and whether its start is to be given up."""

    row: WarmInstance
    slot: Kept
    stopped: threading.Event = field(default_factory=threading.Event)


class Keeper:
    """Keeps instances on one agent; `tick` is called by a thread of its own."""

    def __init__(self, *, agent: Agent, worker: Worker) -> None:
        self._agent = agent
        self._hardware = worker.hardware
        self._worker = worker.name
        self._pool = WarmPool(agent=agent, worker=worker)
        self._voice = Voice(worker=worker, agent=agent)
        self._kept: dict[str, Charge] = {}
        # Since when deployments have had a free place that a better host may take.
        self._short_since: dict[str, float] = {}
        self._porter = Porter()
        self._node = worker.queue
        self._reported_at = float("-inf")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deployment-keeper", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()
        self._porter.start()

    def stop(self) -> None:
        """Let everything go, each paid up to now: another worker takes the places."""
        self._over.set()
        self._porter.stop()
        if self._thread.is_alive():
            self._thread.join(10.0)
        for charge in list(self._kept.values()):
            self._let_go(charge, "The worker was stopped.")
        self._voice.leave()

    def _run(self) -> None:
        try:
            while not self._over.wait(TICK_SECONDS):
                try:
                    self.tick()
                except Exception:
                    logger.exception("keeper_failed")
                    connection.close()
        finally:
            connection.close()

    def tick(self) -> None:
        """One round."""
        for charge in list(self._kept.values()):
            self._tend(charge)
        for release in _in_force(self._hardware):
            self._fill(release)
        self._pass_on()
        self._pool.tick()
        self._voice.say()
        if host.serves_chats() and time.monotonic() - self._reported_at >= doors.REPORT_SECONDS:
            self._reported_at = time.monotonic()
            doors.report(node=self._node)

    def _tend(self, charge: Charge) -> None:
        row = charge.row
        if not instances.beat(instance_id=row.pk):
            self._let_go(charge, "")
            return
        row.refresh_from_db()
        deployment = Deployment.objects.get(pk=row.deployment_id)
        if releases.is_surplus(row=row, deployment=deployment):
            is_current = row.release_id == deployment.release.pk
            self._let_go(charge, "It was no longer needed." if is_current else "A newer release took its place.")
        elif row.ready_at and not charge.slot.is_sound:
            self._let_go(charge, "The model stopped.")

    def _let_go(self, charge: Charge, reason: str) -> None:
        charge.stopped.set()
        charge.slot.let_go()
        instances.end(instance_id=charge.row.pk, reason=reason)
        self._kept.pop(charge.row.pk, None)

    def _fill(self, release: Release) -> None:
        """Take free places of one deployment, as long as this host has slots and no other is better for it."""
        while _is_short(release):
            if not self._is_ours(release):
                return
            slot = self._agent.keep(host.spec_of(release.version), pool=release.deployment_id)
            if slot is None:
                return
            row = instances.claim(release=release, worker=self._worker)
            if row is None:
                slot.let_go()
                return
            charge = self._kept[row.pk] = Charge(row, slot)
            threading.Thread(target=self._bring_up, args=(charge,), name="instance-start", daemon=True).start()

    def _is_ours(self, release: Release) -> bool:
        """The best host takes a free place; another one once it has stood free for a while."""
        since = self._short_since.setdefault(release.deployment_id, time.monotonic())
        is_best = hosts.is_best(name=self._worker, version=release.version, hardware=self._hardware)
        if not is_best and time.monotonic() - since < YIELD_SECONDS:
            return False
        del self._short_since[release.deployment_id]
        return True

    def _bring_up(self, charge: Charge) -> None:
        row = charge.row
        try:
            self._bring_build(row, charge)
            charge.slot.start(is_canceled=charge.stopped.is_set)
            instances.is_ready(instance_id=row.pk)
        except SetupFailed as error:
            reason = SETUP + error.message
            if self._never_started(charge, reason) and not releases.is_served(deployment_id=row.deployment_id):
                # Whoever waits is told.
                instances.refuse_waiting(deployment_id=row.deployment_id, status=Status.FAILED, error=reason)
        except (StartFailed, copies.CannotCopy) as error:
            self._never_started(charge, START + error.message)
        except BuildCanceled:
            self._never_started(charge, "It was no longer needed.")
        except Exception:
            logger.exception("instance_start_failed", instance=row.pk)
            self._never_started(charge, "The start failed on our side.")
        finally:
            connection.close()

    def _bring_build(self, row: WarmInstance, charge: Charge) -> None:
        version = row.release.version
        copies.bring(
            version=version,
            log=lambda line: logger.debug("build_copied", version=version.pk, line=line),
            is_canceled=charge.stopped.is_set,
        )

    def _never_started(self, charge: Charge, reason: str) -> bool:
        """A start that fails costs nothing; one that was let go is paid up to then by whoever let it go."""
        return not charge.stopped.is_set() and instances.end(instance_id=charge.row.pk, reason=reason, free=True)

    def _pass_on(self) -> None:
        """Run what waits where there is room, each in a thread of its own: no doorbell finds the right worker."""
        for charge in self._kept.values():
            if charge.row.ready_at is None or not charge.slot.has_room:
                continue
            waiting = attempts.next_unclaimed(hardware=self._hardware, deployment_id=charge.row.deployment_id)
            if waiting is not None:
                threading.Thread(target=self._work, args=(waiting,), name="deployment-run").start()

    def _work(self, prediction_id: str) -> None:
        try:
            runs.work(agent=self._agent, prediction_id=prediction_id, hardware=self._hardware, owner=self._worker)
        finally:
            connection.close()


_lock = threading.Lock()
_keeper: Keeper | None = None


def start(*, agent: Agent, worker: Worker) -> None:
    """Start this worker's keeper, once."""
    global _keeper
    with _lock:
        if _keeper is None:
            _keeper = Keeper(agent=agent, worker=worker)
            _keeper.start()


def stop() -> None:
    """Stop this worker's keeper, if it has one."""
    with _lock:
        if _keeper is not None:
            _keeper.stop()


def _in_force(hardware: str) -> list[Release]:
    """The newest release of each deployment that wants instances on this hardware."""
    newest = Deployment.objects.filter(wanted__gt=0).annotate(last=Count("releases")).values("pk", "last")
    pairs = Q(pk__in=[])
    for one in newest:
        pairs |= Q(deployment_id=one["pk"], number=one["last"])
    rows = Release.objects.filter(pairs, hardware__sku=hardware)
    return list(rows.select_related("deployment", "version__model__publisher", "hardware"))


def _is_short(release: Release) -> bool:
    """Whether a place is free, and the last setup did not fail just now."""
    live = WarmInstance.objects.filter(release=release, ended_at=None).count()
    if not Deployment.objects.filter(pk=release.deployment_id, wanted__gt=live).exists():
        return False
    last = releases.failed_starts(release).aggregate(last=Max("ended_at"))["last"]
    return last is None or last < timezone.now() - limits.SETUP_PAUSE
