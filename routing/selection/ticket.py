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
    may_think: bool = False
    is_mute: bool = False  # its silence says nothing: it comes whole, or may be thinking
    has_thought: bool = False  # in silence, before its first token
    first_at: float | None = None
    is_over: bool = False
