"""How many requests an endpoint serves at once: learned from a simulated one that says nothing of its slots."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.selection.capacity import AHEAD, FIRST_LIMIT, Capacity
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


def calls_until(capacity: Capacity, limit: float, *, now: float = 100.0) -> int:
    """How many first tokens in time, each at the limit, it takes until so many are believed to be served at once."""
    for calls in range(1, 1_000):
        busy = int(capacity.limit)
        capacity.first_token(level=0.5, usual=0.5, others=busy - 1, served=busy // 2, now=now)
        if capacity.limit >= limit:
            return calls
    raise AssertionError(f"it stays at {capacity.limit}")


def after_an_outage(*, served_before: float) -> Capacity:
    capacity = Capacity()
    calls_until(capacity, served_before)
    capacity.start_slowly()
    return capacity


def test_after_an_outage_an_endpoint_soon_gets_again_what_it_took_before() -> None:
    known, small = after_an_outage(served_before=24), after_an_outage(served_before=8)
    assert known.limit == small.limit == 4
    assert calls_until(known, 24) <= 0.6 * calls_until(small, 24)


def test_a_queue_after_an_outage_gainsays_what_it_took_before() -> None:
    capacity, small = after_an_outage(served_before=24), after_an_outage(served_before=8)
    for _ in range(2):
        capacity.first_token(level=2.0, usual=0.5, others=6, served=4, now=100.0)
    assert calls_until(capacity, 24, now=120.0) >= calls_until(small, 24, now=120.0)


CALLS = st.tuples(st.floats(0, 30), st.integers(0, 200), st.floats(0, 1), st.floats(0, 60))


@given(st.lists(CALLS, max_size=60), st.sets(st.integers(0, 59)))
def test_the_limit_never_runs_ahead_of_what_was_shown(
    calls: list[tuple[float, int, float, float]], outages: set[int]
) -> None:
    capacity, most, now = Capacity(), FIRST_LIMIT, 0.0
    for i, (level, others, share, passed) in enumerate(calls):
        now += passed
        if i in outages:
            capacity.start_slowly()
            assert capacity.limit <= 4
        capacity.first_token(level=level, usual=0.5, others=others, served=int(share * (others + 1)), now=now)
        most = max(most, AHEAD * (others + 1) + 1)
        assert 0 < capacity.limit <= most + 1e-9
