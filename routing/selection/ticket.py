"""One call under way, from its begin to its end."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Ticket:
    """One call under way. `began` and `first_at` are of the caller's clock; `others` ran when it began."""

    endpoint_id: int
    tokens: int
    began: float
    others: int
    queueing: float  # seconds that it was expected to queue
    is_probe: bool
    is_whole: bool = False
    first_at: float | None = None
    is_over: bool = False
