"""The scaler, over every course of demand: within its bounds, without flapping, down to the least in the end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from execution.scaling import Bounds, Load, Scale, Standing, step, surplus

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


def test_instances_that_take_several_runs_at_one_time_are_fewer() -> None:
    def wanted(load: Load, begun: int = 1, each: int = 4) -> int:
        return step(Scale(begun), bounds=Bounds(0, 10, QUIET, each), load=load, now=0.0).wanted

    assert wanted(Load(running=4, waiting=0, oldest=0.0)) == 1
    assert wanted(Load(running=3, waiting=1, oldest=9.0)) == 1  # it has room for that one
    assert wanted(Load(running=4, waiting=6, oldest=2.0)) == 2
    assert wanted(Load(running=4, waiting=6, oldest=2.0), each=1) == 7
    assert step(Scale(3, 0.0), bounds=Bounds(0, 10, QUIET, 4), load=Load(5, 0, 0.0), now=QUIET).wanted == 2


@given(bounds, courses, some.integers(1, 8))
def test_whatever_fits_an_instance_its_bounds_hold(bounds: Bounds, course: list[tuple[float, Load]], each: int) -> None:
    wider = Bounds(bounds.least, bounds.most, bounds.quiet, each)
    assert all(bounds.least <= wanted <= bounds.most for _, wanted in follow(wider, course))


standings = some.lists(some.tuples(some.booleans(), some.booleans()), max_size=12).map(
    lambda rows: [Standing(str(place), place, *row) for place, row in enumerate(rows)]
)


@given(standings, some.integers(0, 6))
def test_a_change_of_release_leaves_as_many_at_work_as_are_wanted(standing: list[Standing], wanted: int) -> None:
    def at_work(rows: list[Standing]) -> int:
        return sum(one.is_ready for one in rows)

    gone = surplus(standing, wanted=wanted)
    left = [one for one in standing if one.id not in gone]
    assert sum(one.is_current for one in left) <= wanted
    places = [one.place for one in standing if one.is_current]
    young = [one for one in standing if one.is_current and one.place in sorted(places)[:wanted]]
    settled = at_work(young) + sum(one.is_ready for one in standing if not one.is_current)
    assert at_work(left) == min(wanted, settled) if wanted else not left


def test_one_of_the_old_goes_for_each_new_that_works() -> None:
    def gone(*ready: bool, **more: bool) -> set[str]:
        old = [Standing(f"old{place}", place, False, True) for place in range(2)]
        new = [Standing(f"new{place}", 2 + place, True, is_ready) for place, is_ready in enumerate(ready)]
        return surplus(old + new, wanted=2, **more)

    assert gone() == gone(False, False) == set()
    assert gone(True, False) == {"old1"}
    assert gone(True, True) == {"old0", "old1"}
    assert gone(makes_room=True) == {"old1"}
