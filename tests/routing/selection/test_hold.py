"""Requests that find every endpoint at its limit: they wait for a place where one will come, and in which order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from routing.canonical import UpstreamError
from routing.selection.router import HOLD_MOST, Policy, Router
from tests.routing.selection.test_router import DOWN, named

ONE, TWO = named(1, "one"), named(2, "two")


def refused(router: Router, endpoint_id: int, *, now: float, retry_after: float) -> None:
    full = UpstreamError("x", kind="rate_limited", retryable=True, status=429, retry_after=retry_after)
    router.failed(router.begin(endpoint_id, tokens=100, now=now), full, now=now, chance=0.5)


def held(router: Router, *, now: float, waited: float = 0.0, was_refused: bool = True) -> float | None:
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
    while seconds := held(router, now=now, waited=waited):
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
    assert held(near, now=10.0)
    assert held(near, now=10.0, waited=HOLD_MOST - 1) == 0.0


def test_who_is_late_already_leaves_the_next_place_to_who_is_not() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.seed(per_second=2.0, now=10.0)
        for _ in range(2):
            router.begin(endpoint_id, tokens=100, now=10.0)
    assert held(router, now=10.1, waited=0.0) == 0.0
    assert held(router, now=10.1, waited=4.0)
    assert held(router, now=11.2, waited=5.1) == 0.0


def test_a_cap_that_was_only_learned_is_asked_once_before_anything_is_held() -> None:
    router = Router()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.seed(per_second=0.3, now=10.0)
        router.begin(endpoint_id, tokens=100, now=10.0)
    assert held(router, now=10.1, was_refused=False) == 0.0
    assert held(router, now=10.1, was_refused=True)


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
    assert bool(held(router, now=10.0)) is caps_rates


def crowded(*, at: float = 10.0) -> Router:
    """A router at whose endpoints one that can be in time has just found no place at once."""
    router = Router()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.seed(per_second=2.0, now=at - 10)
        for _ in range(3):
            router.begin(endpoint_id, tokens=100, now=at)
    assert held(router, now=at, waited=0.0) == 0.0  # it waits under the cap
    return router


def test_a_place_that_comes_free_is_kept_for_those_in_time_while_they_want_it() -> None:
    router = crowded()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.tokens = 1.0
    assert held(router, now=10.5, waited=0.3) == 0.0
    assert held(router, now=10.5, waited=5.0)
    assert held(router, now=11.1, waited=5.6) == 0.0


def test_who_has_waited_ten_seconds_gets_no_place_that_those_in_time_want() -> None:
    router = crowded()
    assert held(router, now=10.1, waited=HOLD_MOST) is None
    assert held(router, now=10.1, waited=HOLD_MOST, was_refused=False) is None
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.tokens = 1.0
    assert held(router, now=11.1, waited=HOLD_MOST) == 0.0


def test_one_models_crowd_takes_no_place_from_anothers_requests() -> None:
    router = crowded()
    router.standing(3).rate.seed(per_second=2.0, now=0.0)
    assert router.hold([named(3, "three")], tokens=100, waited=5.0, now=10.2, was_refused=True) == 0.0


def test_a_prompt_too_long_to_be_in_time_anywhere_has_its_chance_before_it_yields() -> None:
    router = crowded()
    for endpoint_id in (1, 2):
        router.standing(endpoint_id).rate.tokens = 1.0
    assert router.hold([ONE, TWO], tokens=100_000, waited=0.2, now=10.5, was_refused=True) == 0.0
    assert router.hold([ONE, TWO], tokens=100_000, waited=1.5, now=10.5, was_refused=True)


def fails(router: Router, endpoint_id: int) -> None:
    for _ in range(3):
        router.failed(router.begin(endpoint_id, tokens=100, now=10.1), DOWN, now=10.2, chance=0.5)


def falls_silent(router: Router, endpoint_id: int) -> None:
    for _ in range(4):
        router.begin(endpoint_id, tokens=100, now=7.0)


@pytest.mark.parametrize("befalls", [fails, falls_silent])
def test_whose_turn_comes_at_an_endpoint_that_fails_meanwhile_goes_elsewhere(
    befalls: Callable[[Router, int], None],
) -> None:
    router = crowded()
    assert router.keeps_turn(1, [TWO], now=10.3)
    befalls(router, 1)
    places = router.standing(1).rate.tokens
    assert not router.keeps_turn(1, [TWO], now=10.3)
    assert router.standing(1).rate.tokens == pytest.approx(places + 1)


def test_where_no_other_endpoint_is_well_every_turn_is_kept() -> None:
    router = crowded()
    fails(router, 1)
    assert router.keeps_turn(1, [], now=10.3)
    fails(router, 2)
    assert router.keeps_turn(1, [TWO], now=10.3)


def test_where_only_an_endpoint_is_left_that_is_being_asked_its_answer_is_waited_for() -> None:
    router = Router()
    silent = UpstreamError("x", kind="timeout", retryable=True)
    router.failed(router.begin(1, tokens=100, now=10.0), silent, now=11.0, chance=0.5, was_cut=True)
    assert router.hold([ONE], tokens=100, waited=1.0, now=11.1) == 0.0  # this one asks
    asking = router.begin(1, tokens=100, now=11.1)
    assert router.hold([ONE], tokens=100, waited=1.0, now=11.5)
    assert held(router, now=11.5) == 0.0  # another is well
    assert router.hold([ONE], tokens=100, waited=1.0, now=14.0) == 0.0  # better late there than nowhere
    router.first(asking, now=14.1)
    assert router.hold([ONE], tokens=100, waited=1.0, now=14.1) == 0.0
