"""An agent's table of slots: who gets one of those that are there, where a new one goes, what goes for it."""

from __future__ import annotations

from collections.abc import Mapping

from execution.agent.slots import Slot, served
from execution.runtimes.base import Instance, InstanceSpec
from execution.scheduling import seats
from execution.scheduling.seats import Capacity, Seat, Want


class Table:
    """The slots of one host. It locks nothing: whoever shares it calls with a lock."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        # By version: so many of its slots, the first ones, are pushed out last and not for being idle.
        self.favoured: Mapping[str, int] = {}
        self._slots: list[Slot] = []

    @property
    def places(self) -> int:
        """How many slots there may be; a GPU counts as one, though it may hold several small ones."""
        return len(self.capacity.devices) or self.capacity.seats

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._slots

    def all(self) -> list[Slot]:
        """The slots as they are now."""
        return list(self._slots)

    def seats(self) -> list[Seat]:
        """The slots as the decisions see them: a seat's key is its place here."""
        left, found = dict(self.favoured), list[Seat]()
        for key, slot in enumerate(self._slots):
            is_favoured = slot.is_shared and left.get(slot.spec.version_id, 0) > 0
            if is_favoured:
                left[slot.spec.version_id] -= 1
            found.append(slot.seat(key, is_favoured=is_favoured))
        return found

    def warm(self, spec: InstanceSpec, pool: str) -> Slot | None:
        """The started slot that takes the run, where there is one with room."""
        found = seats.warm(self.seats(), _want(spec, pool))
        return self._slots[found.key] if found else None

    def may_train(self) -> bool:
        """Whether a place would be left for what is short."""
        return sum(bool(slot.spec.trains) for slot in self._slots) < max(1, self.places - 1)

    def has_spare(self, spec: InstanceSpec, *, now: float, unused_seconds: float) -> bool:
        """Whether there is a free place for it, or one whose instance nobody would miss."""
        way = seats.opening(self.seats(), _want(spec, ""), self.capacity)
        return way is not None and seats.is_spare(way, now=now, unused_seconds=unused_seconds)

    def open(self, spec: InstanceSpec, pool: str) -> tuple[Slot | None, list[Instance | None]]:
        """A new slot, and the instances that went for it; no slot when all are in use."""
        way = seats.opening(self.seats(), _want(spec, pool), self.capacity)
        if way is None:
            return None, []
        gone = [self._slots[one.key] for one in way.evicted]
        for slot in gone:
            self._slots.remove(slot)
        made = Slot(spec=spec, pool=pool, device=way.device)
        self._slots.append(made)
        return made, [slot.instance for slot in gone]

    def outlived(self, *, now: float, idle_seconds: float) -> list[Slot]:
        """What has been idle for so long that it goes without being pushed."""
        return [self._slots[one.key] for one in seats.outlived(self.seats(), now=now, idle_seconds=idle_seconds)]

    def drop(self, slot: Slot) -> None:
        """Take the slot out; one that has left already is no error."""
        if slot in self._slots:
            self._slots.remove(slot)

    def clear(self) -> list[Slot]:
        """Take all out: those that there were."""
        slots, self._slots = self._slots, []
        return slots


def _want(spec: InstanceSpec, pool: str) -> Want:
    return Want(version=served(spec), tenant=pool or spec.tenant, pool=pool, memory=spec.gpu_memory)
