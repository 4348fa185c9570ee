"""Requests that find every endpoint at its limit: they wait for a place where one will come, and in which order."""

from __future__ import annotations

import pytest

from routing.canonical import UpstreamError
from routing.selection.router import HOLD_MOST, Policy, Router
from tests.routing.selection.test_router import DOWN, named

ONE, TWO = named(1, "one"), named(2, "two")


def refused(router: Router, endpoint_id: int, *, now: float, retry_after: float) -> None:
    full = UpstreamError("x", kind="rate_limited", retryable=True, status=429, retry_after=retry_after)
    router.failed(router.begin(endpoint_id, tokens=100, now=now), full, now=now, chance=0.5)


def held(router: Router, *, now: float, waited: float = 0.0, was_refused: bool = True) -> float:
    return router.hold([ONE, TWO], tokens=100, waited=waited, now=now, was_refused=was_refused)


def test_nothing_is_held_while_one_endpoint_has_room() -> None:
    router = Router()
    refused(router, 1, now=10.0, retry_after=5.0)
    assert held(router, now=10.0) == 0.0


def test_a_request_is_held_until_a_place_comes() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        refused(router, endpoint_id, now=10.0, retry_after=3.0 * endpoint_id)
    now, waited = 10.0, 0.0
    while (seconds := held(router, now=now, waited=waited)) > 0:
        now, waited = now + seconds, waited + seconds
    assert 12.0 < now <= 13.1
    assert waited < HOLD_MOST


def test_nothing_is_held_where_no_place_will_come_in_time() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        refused(router, endpoint_id, now=10.0, retry_after=60.0)
    assert held(router, now=10.0) == 0.0
    near = Router()
    for endpoint_id in (1, 2):
        refused(near, endpoint_id, now=10.0, retry_after=3.0)
    assert held(near, now=10.0) > 0
    assert held(near, now=10.0, waited=HOLD_MOST - 1) == 0.0


def test_who_is_late_already_leaves_the_next_place_to_who_is_not() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.seed(per_second=2.0, now=10.0)
        for _ in range(2):
            router.begin(endpoint_id, tokens=100, now=10.0)
    assert held(router, now=10.1, waited=0.0) == 0.0
    assert held(router, now=10.1, waited=4.0) > 0.0
    assert held(router, now=11.0, waited=4.9) == 0.0


def test_a_cap_that_was_only_learned_is_asked_once_before_anything_is_held() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.seed(per_second=0.3, now=10.0)
        router.begin(endpoint_id, tokens=100, now=10.0)
    assert held(router, now=10.1, was_refused=False) == 0.0
    assert held(router, now=10.1, was_refused=True) > 0.0


def test_a_failing_endpoint_is_no_place_to_wait_for() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        for _ in range(3):
            router.failed(router.begin(endpoint_id, tokens=100, now=10.0), DOWN, now=10.0, chance=0.5)
    assert held(router, now=10.1) == 0.0


@pytest.mark.parametrize("caps_rates", [True, False])
def test_holding_is_part_of_the_caps(caps_rates: bool) -> None:
    router = Router(policy=Policy(caps_rates=caps_rates))
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.refused(now=10.0, retry_after=3.0)
    assert (held(router, now=10.0) > 0) is caps_rates
