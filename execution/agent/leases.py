"""What an agent gives out: the right to run one prediction, and a slot that is kept for somebody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from execution.agent.slots import Slot
from execution.runtimes.base import Alive, Event, FileSink, Finished, Instance

if TYPE_CHECKING:
    from execution.agent.agent import Agent


class Lease:
    """The right to run one prediction on an instance. `was_warm`: the model had been started before."""

    def __init__(self, agent: Agent, slot: Slot, *, was_warm: bool) -> None:
        self.was_warm = was_warm
        self._agent = agent
        self._slot = slot
        self._released = False

    @property
    def instance(self) -> Instance | None:
        """The instance, once it has started."""
        return self._slot.instance

    def start(self, *, is_canceled: Callable[[], bool] = lambda: False) -> Iterator[Alive]:
        """Start the model when it is cold; says Alive while that takes. Raises SetupFailed, StartFailed."""
        yield from self._agent.bring_up(self._slot, is_canceled=is_canceled)

    def predict(
        self,
        *,
        prediction_id: str,
        input: Mapping[str, Any],
        files: Mapping[str, Path],
        sink: FileSink,
        is_canceled: Callable[[], bool] = lambda: False,
        run_seconds: float | None = None,
    ) -> Iterator[Event]:
        """Start when cold (Alive meanwhile), then run as base.Instance.predict. Raises SetupFailed, StartFailed."""
        yield from self.start(is_canceled=is_canceled)
        instance = self._slot.instance
        assert instance is not None  # noqa: S101 (start has raised otherwise)
        for event in instance.predict(
            prediction_id=prediction_id,
            input=input,
            files=files,
            sink=sink,
            is_canceled=is_canceled,
            run_seconds=run_seconds,
        ):
            if isinstance(event, Finished):
                self._agent.remember(self._slot.spec.version_id, run=event.seconds)
            yield event

    def release(self) -> None:
        """Give the place back; the instance stays warm when it is sound. May be called twice."""
        if not self._released:
            self._released = True
            self._agent.release(self._slot)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Kept:
    """A slot that is kept for a pool, from its start to `let_go`."""

    def __init__(self, agent: Agent, slot: Slot) -> None:
        self._agent = agent
        self._slot = slot

    def start(self, *, is_canceled: Callable[[], bool] = lambda: False) -> None:
        """Start the model and wait for it. Raises SetupFailed, StartFailed."""
        for _ in self._agent.start_kept(self._slot, is_canceled=is_canceled):
            continue

    @property
    def is_sound(self) -> bool:
        """Whether the started model still lives."""
        instance = self._slot.instance
        return instance is not None and self._agent.is_listed(self._slot) and instance.health() != "lost"

    @property
    def has_room(self) -> bool:
        """Whether another prediction could run there now."""
        return self._slot.instance is not None and self._slot.room > 0

    def let_go(self) -> None:
        """Stop it; what runs there ends first. May be called twice."""
        self._agent.let_go(self._slot)
