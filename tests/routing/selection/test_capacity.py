"""How many requests an endpoint serves at once: learned from a simulated one that says nothing of its slots."""

import heapq

import pytest

from routing.selection.standing import Standing

SLOTS, FIRST, WHOLE = 12, 0.5, 3.0


def burst(standing: Standing, *, count: int, at: float, slots: int = SLOTS) -> list[float]:
    """`count` requests at once, served in turn; answers the seconds to each first token."""
    tickets = [standing.begin(1, tokens=0, now=at) for _ in range(count)]
    free = [at] * slots
    events = []
    for i, ticket in enumerate(tickets):
        start = heapq.heappop(free)
        heapq.heappush(free, start + WHOLE)
        events += [(start + FIRST, i, "first", ticket), (start + WHOLE, i, "end", ticket)]
    for now, _, what, ticket in sorted(events, key=lambda one: one[:2]):
        if what == "first":
            standing.first(ticket, now=now)
        else:
            standing.ended(ticket, now=now, output_tokens=100)
    return [ticket.first_at - at for ticket in tickets if ticket.first_at is not None]


def test_the_slots_of_an_endpoint_show_in_a_burst_and_a_queue_costs_what_it_takes() -> None:
    standing = Standing()
    for i in range(5):
        burst(standing, count=2, at=10.0 * i)
    burst(standing, count=40, at=100.0)
    assert standing.capacity.limit == pytest.approx(SLOTS, rel=0.3)
    for _ in range(24):
        standing.begin(1, tokens=0, now=200.0)
    assert WHOLE * 13 / SLOTS * 0.6 < standing.capacity.wait() < WHOLE * 13 / SLOTS * 1.8


def test_a_queue_is_not_taken_for_a_slow_endpoint() -> None:
    standing = Standing()
    burst(standing, count=2, at=0.0)
    waits = burst(standing, count=40, at=100.0)
    assert max(waits) > 9
    assert standing.latency.level(112.0) < 1.0


def test_a_slow_endpoint_is_not_taken_for_a_full_one() -> None:
    standing = Standing()
    burst(standing, count=12, at=0.0)
    limit = standing.capacity.limit
    for i in range(6):
        ticket = standing.begin(1, tokens=0, now=20.0 + 10 * i)
        standing.first(ticket, now=24.0 + 10 * i)
        standing.ended(ticket, now=26.0 + 10 * i)
    assert standing.capacity.limit >= limit
    assert standing.latency.level(80.0) > 2.0


def test_short_answers_that_end_first_do_not_make_an_endpoint_look_quick() -> None:
    standing = Standing()
    tickets = [standing.begin(1, tokens=0, now=0.0) for _ in range(8)]
    for ticket in tickets:
        standing.first(ticket, now=0.5)
    standing.ended(tickets[0], now=0.6)
    standing.ended(tickets[1], now=0.6)
    for ticket in tickets[2:]:
        standing.ended(ticket, now=6.0)
    assert standing.capacity.seconds == pytest.approx(4.2, rel=0.1)
