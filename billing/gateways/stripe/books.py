"""What Stripe has written down: the lines of its books, and its events. Amounts are cents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from billing.gateways.stripe import transport


@dataclass(frozen=True, slots=True)
class Movement:
    """A line of Stripe's own books."""

    id: str
    type: str
    amount_cents: int
    fee_cents: int
    net_cents: int
    source_id: str


def events(*, since: int) -> Iterator[dict[str, Any]]:
    """All events since a moment (Unix seconds), as webhooks would have told them."""
    first = transport.call(lambda: transport.client().v1.events.list({"created": {"gte": since}, "limit": 100}))
    for event in first.auto_paging_iter():
        yield event.to_dict()


def movements(*, since: int) -> Iterator[Movement]:
    """The lines of Stripe's books since a moment (Unix seconds)."""
    first = transport.call(
        lambda: transport.client().v1.balance_transactions.list({"created": {"gte": since}, "limit": 100})
    )
    for line in first.auto_paging_iter():
        yield Movement(line.id, line.type, line.amount, line.fee, line.net, transport.id_of(line.source))
