"""What a prediction can be, and which moves are allowed. Pure.

"aborted" never appears: the official 1.x client refuses it and no client's wait loop sees it as an end
(facts/replicate.md section 2). A prediction whose deadline passes before its start is "canceled".
"""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """A prediction's status, as its API shows it."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class BuildStatus(StrEnum):
    """A build's status."""

    QUEUED = "queued"
    BUILDING = "building"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


TERMINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})
LIVE: Final = frozenset({Status.STARTING, Status.PROCESSING})
BUILD_TERMINAL: Final = frozenset({BuildStatus.SUCCEEDED, BuildStatus.FAILED, BuildStatus.CANCELED})

# processing -> starting is the way back of a run whose worker was lost: it waits for another one.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    Status.STARTING: frozenset({Status.PROCESSING, Status.FAILED, Status.CANCELED}),
    Status.PROCESSING: frozenset({Status.STARTING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}


def is_terminal(status: str) -> bool:
    """Whether nothing can follow this status."""
    return Status(status) in TERMINAL


def may_move(old: str, new: str) -> bool:
    """Whether a prediction may go from one status to the other."""
    return Status(new) in MOVES[Status(old)]


def sources_of(new: str) -> frozenset[Status]:
    """The statuses from which a prediction may come to this one: the guard of a conditional UPDATE."""
    return frozenset(old for old, targets in MOVES.items() if Status(new) in targets)
