"""Endpoints that fall silent: what calls that wait there say together, and that they are moved while it helps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.canonical import UpstreamError
from routing.selection.router import Policy, Router
from routing.selection.silence import Silence
from routing.selection.ticket import Ticket
from tests.routing.selection.test_router import DOWN, chosen, named, served

ONE, TWO = named(1, "one"), named(2, "two", prompt=600, completion=1_200)
SILENT = UpstreamError("x", kind="timeout", retryable=True)
PATIENCE = 5.0


def waiting(calls: int, *, at: float = 30.5, router: Router | None = None) -> tuple[Router, list[Ticket]]:
    """A router whose endpoints used to answer after half a second, and calls that begin at the cheaper one."""
    router = router or Router()
    served(router, ONE)
    served(router, TWO)
    return router, [router.begin(1, tokens=1_000, now=at + i / 20) for i in range(calls)]


def left_after(router: Router, ticket: Ticket, *, most: float = PATIENCE) -> float:
    """Seconds after its begin at which the call is left."""
    now = ticket.began
    while (seconds := router.wait_on(ticket, [TWO], patience=most, whole=30.0, now=now)) > 0:
        now += seconds
    return now - ticket.began


def test_one_slow_call_keeps_its_patience() -> None:
    router, (ticket,) = waiting(1)
    assert left_after(router, ticket) == pytest.approx(PATIENCE, abs=0.01)


def test_calls_that_are_silent_together_are_moved_long_before_their_patience() -> None:
    router, tickets = waiting(5)
    assert 0.6 < left_after(router, tickets[0]) < 1.2
    assert router.wait_on(tickets[4], [TWO], patience=PATIENCE, whole=30.0, now=tickets[0].began + 1.2) == 0.0


def test_the_more_are_silent_the_sooner_they_are_moved() -> None:
    few, many = (left_after(router, tickets[0]) for router, tickets in (waiting(3), waiting(8)))
    assert many < few < PATIENCE


def test_calls_that_take_as_long_as_usual_are_not_moved() -> None:
    router, tickets = waiting(8)
    assert all(
        router.wait_on(one, [TWO], patience=PATIENCE, whole=30.0, now=tickets[0].began + 0.5) > 0 for one in tickets
    )


def test_an_answer_ends_the_doubt() -> None:
    router, tickets = waiting(6)
    router.first(tickets[5], now=31.4)
    assert router.wait_on(tickets[0], [TWO], patience=PATIENCE, whole=30.0, now=31.4) > 0
    assert router.standing(1).doubt < 0.01


def test_while_first_tokens_come_an_endpoint_is_not_silent_however_long_others_have_waited() -> None:
    router, tickets = waiting(12)
    for i, early in enumerate(tickets[:4]):
        now = 31.6 + i / 20
        router.first(early, now=now)
        router.standing(1).refresh(now + 0.04)
        assert router.standing(1).doubt < 0.1
    assert router.wait_on(tickets[8], [TWO], patience=PATIENCE, whole=30.0, now=31.8) > 0
    assert router.wait_on(tickets[8], [TWO], patience=PATIENCE, whole=30.0, now=32.5) == 0.0  # since then nothing came


@pytest.mark.parametrize("others", [[], [TWO]])
def test_nothing_is_moved_where_no_other_endpoint_is_well(others: list[object]) -> None:
    router, tickets = waiting(6)
    for _ in range(3):
        router.failed(router.begin(2, tokens=10, now=30.9), DOWN, now=30.9, chance=0.5)
    assert router.wait_on(tickets[0], others, patience=PATIENCE, whole=30.0, now=32.0) > 0  # type: ignore[arg-type]


def test_the_next_request_goes_elsewhere_before_any_call_has_failed() -> None:
    router, _ = waiting(0)
    assert chosen(router, [ONE, TWO], now=30.5) == "one"
    router, _ = waiting(5)
    assert chosen(router, [ONE, TWO], now=31.4) == "two"


def test_doubt_outlives_the_calls_that_were_given_up_and_fades() -> None:
    router, tickets = waiting(3)
    for one in tickets[:2]:
        router.failed(one, SILENT, now=31.5, chance=0.5, was_cut=True)
    router.dropped(tickets[2], now=31.5)
    assert router.standing(1).doubt > 0.3
    router.standing(1).refresh(50.0)
    assert router.standing(1).doubt < 0.001


def test_plain_answers_come_whole_so_that_their_silence_says_nothing() -> None:
    router, _ = waiting(0)
    tickets = [router.begin(1, tokens=1_000, now=30.5, is_whole=True) for _ in range(8)]
    assert router.wait_on(tickets[0], [TWO], patience=60.0, whole=60.0, now=40.0) > 0
    assert router.standing(1).doubt < 0.001


def test_moving_is_part_of_cutting_off() -> None:
    router, tickets = waiting(6, router=Router(policy=Policy(cuts_off=False)))
    assert router.wait_on(tickets[0], [TWO], patience=30.0, whole=30.0, now=33.0) > 0


TIMES = st.floats(0, 1e6)


@given(st.lists(st.tuples(TIMES, TIMES), max_size=20), st.floats(0, 1e4), TIMES, st.lists(TIMES, max_size=30))
def test_doubt_is_a_likelihood_whatever_was_seen(
    waits: list[tuple[float, float]], spread: float, since: float, given_up: list[float]
) -> None:
    silence = Silence()
    for at in given_up:
        silence.gave_up(now=at)
    now = max(given_up, default=0.0)
    found = silence.doubt(waits, spread=spread, since=since, now=now)
    assert math.isfinite(found)
    assert 0 <= found <= 1
    assert found <= silence.doubt([*waits, (10.0, 1.0)], spread=spread, since=since, now=now)
    assert found >= silence.doubt(waits, spread=spread, since=since / 2, now=now)
