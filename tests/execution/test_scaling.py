"""The scaler, over every course of demand: within its bounds, without flapping, down to the least in the end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from execution.scaling import Bounds, Load, Scale, step

QUIET = 60.0

bounds = some.integers(0, 20).flatmap(
    lambda most: some.integers(0, min(most, 5)).map(lambda least: Bounds(least, most, QUIET))
)
loads = some.builds(Load, running=some.integers(0, 30), waiting=some.integers(0, 200), oldest=some.floats(0, 100))
courses = some.lists(some.tuples(some.floats(0.1, 40), loads), max_size=60)


def follow(bounds: Bounds, course: list[tuple[float, Load]], begun: int = 0) -> list[tuple[float, int]]:
    scale, now, seen = Scale(begun), 0.0, []
    for pause, load in course:
        now += pause
        scale = step(scale, bounds=bounds, load=load, now=now)
        seen.append((now, scale.wanted))
    return seen


@given(bounds, courses, some.integers(0, 40))
def test_never_above_most_and_never_below_least(bounds: Bounds, course: list[tuple[float, Load]], begun: int) -> None:
    assert all(bounds.least <= wanted <= bounds.most for _, wanted in follow(bounds, course, begun))


@given(bounds, courses)
def test_nothing_goes_before_demand_has_been_lower_for_long(bounds: Bounds, course: list[tuple[float, Load]]) -> None:
    seen = follow(bounds, course)
    for place, ((_, before), (now, after)) in enumerate(pairwise(seen)):
        if after < before:
            recent = [at for at, _ in seen[: place + 2] if at > now - QUIET]
            demanded = course[place + 2 - len(recent) : place + 2]
            assert all(load.running + load.waiting < before or before == bounds.least for _, load in demanded)


@given(bounds, loads, some.integers(0, 20))
def test_steady_demand_is_met_in_one_direction(bounds: Bounds, load: Load, begun: int) -> None:
    wanted = [one for _, one in follow(bounds, [(5.0, load)] * 40, begun)]
    rising = [after >= before for before, after in pairwise(wanted)]
    assert all(rising) or all(after <= before for before, after in pairwise(wanted))


@given(bounds, courses)
def test_without_demand_only_the_least_stays(bounds: Bounds, course: list[tuple[float, Load]]) -> None:
    silence = [(QUIET, Load(0, 0, 0.0))] * 3
    assert follow(bounds, course + silence)[-1][1] == bounds.least


def test_the_first_request_starts_one_at_once_and_a_queue_more_only_after_some_patience() -> None:
    some_bounds = Bounds(0, 10, QUIET)
    assert step(Scale(0), bounds=some_bounds, load=Load(0, 1, 0.0), now=0.0).wanted == 1
    assert step(Scale(1), bounds=some_bounds, load=Load(1, 6, 0.2), now=0.0).wanted == 1
    assert step(Scale(1), bounds=some_bounds, load=Load(1, 6, 2.0), now=0.0).wanted == 4
