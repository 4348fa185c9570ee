"""How fast versions are on this host: what is remembered of their starts and runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Of how many versions an agent remembers how long they start and run, and how much the newest run counts.
REMEMBERED: Final = 1_000
NEWEST: Final = 0.3


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a version's start and its runs take on this host, in seconds; None before the first."""

    start: float | None = None
    run: float | None = None


class Paces:
    """The pace of each version, the least lately learned of forgotten first. Its owner's lock guards it."""

    def __init__(self) -> None:
        self._of: dict[str, Pace] = {}

    def learn(self, version_id: str, *, start: float | None, run: float | None) -> None:
        """Take in a start or a run, in seconds."""
        old = self._of.pop(version_id, Pace())
        if run is not None and old.run is not None:
            run = old.run + NEWEST * (run - old.run)
        self._of[version_id] = Pace(start=old.start if start is None else start, run=old.run if run is None else run)
        while len(self._of) > REMEMBERED:
            del self._of[next(iter(self._of))]

    def known(self, versions: Iterable[str]) -> dict[str, Pace]:
        """Those of these versions of which something is known."""
        return {version: self._of[version] for version in versions if version in self._of}
