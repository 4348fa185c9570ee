"""A refusal for lack of credit in the words of a run, whose cost no number of tokens bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billing.services.holds import InsufficientCredit
from marketplace.lib.errors import PaymentRequired


@contextmanager
def told_of_runs() -> Iterator[None]:
    """InsufficientCredit becomes a PaymentRequired with the same metadata that says what a run can do about it."""
    try:
        yield
    except InsufficientCredit as error:
        needed, free = error.metadata["needed_usd"], error.metadata["available_usd"]
        raise PaymentRequired(
            f"Not enough credit: ${needed} is held before it runs and ${free} is free. Add credit on the credits page; "
            "what a run does not use is free again at its end.",
            metadata=error.metadata,
        ) from error
