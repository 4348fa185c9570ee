"""One place for an instance in an agent's table."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from execution.runtimes.base import Instance, InstanceSpec
from execution.scheduling.seats import Seat


@dataclass(slots=True)
class Slot:
    """One place for an instance. `started` is set once the start has ended, well or not.

    A slot with a `pool` was kept for somebody: it is neither idle nor evicted, and only work for that pool gets it.
    """

    spec: InstanceSpec
    pool: str = ""
    device: str = ""
    instance: Instance | None = None
    holders: int = 0
    idle_since: float = 0.0
    started: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @property
    def room(self) -> int:
        """Predictions that it could take on top. A model that is still starting may allow more than one; one counts."""
        return (self.instance.concurrency if self.instance else 1) - self.holders

    @property
    def is_shared(self) -> bool:
        """Whether anybody's runs of its version may take it."""
        return not self.pool and not self.spec.trains

    def seat(self, key: int, *, is_favoured: bool = False) -> Seat:
        """As the decisions of `execution.scheduling` see it."""
        return Seat(
            key=key,
            version=served(self.spec),
            tenant=self.pool or self.spec.tenant,
            pool=self.pool,
            device=self.device,
            memory=self.spec.gpu_memory,
            room=self.room if self.instance else 0,
            holders=self.holders,
            idle_since=self.idle_since,
            is_favoured=is_favoured,
        )

    def told(self, *, now: float) -> dict[str, Any]:
        """What the host's status tells of it: plain values for JSON."""
        return {
            "version": self.spec.version_id,
            "id": self.instance.id if self.instance else None,
            "pid": self.instance.pid if self.instance else None,
            "state": "starting" if self.instance is None else "busy" if self.holders else "idle",
            "pool": self.pool,
            "trains": bool(self.spec.trains),
            "device": self.device,
            "running": self.holders,
            "idle_seconds": round(now - self.idle_since, 1) if not self.holders else 0.0,
        }


def served(spec: InstanceSpec) -> str:
    """What an instance answers to: its version, or a training's that it was started for alone."""
    return f"{spec.version_id} for {spec.trains}" if spec.trains else spec.version_id
