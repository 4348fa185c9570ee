"""The pure decisions over every table of instances: nobody in use is pushed out, no GPU is shared, nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from execution.scheduling import hosts, pools, seats, turns
from execution.scheduling.hosts import Host
from execution.scheduling.seats import Capacity, Device, Opening, Seat, Want
from execution.scheduling.turns import Waiting

MEMORY = 80
DEVICES = Capacity(devices=(Device("a", MEMORY), Device("b", MEMORY)))

wants = some.builds(
    Want, version=some.sampled_from("xyz"), tenant=some.sampled_from("pq"), memory=some.sampled_from((0, 20, 40, 80))
)


@some.composite
def courses(draw: some.DrawFn) -> list[tuple[Want, bool, int]]:
    """Runs that come, whether each stays in use, and who becomes idle then."""
    return draw(some.lists(some.tuples(wants, some.booleans(), some.integers(0, 5)), max_size=30))


def follow(course: list[tuple[Want, bool, int]], capacity: Capacity) -> list[list[Seat]]:
    """Open as the agent would, and look at the table after each step."""
    table: list[Seat] = []
    seen = []
    for number, (want, stays, freed) in enumerate(course):
        way = seats.opening(table, want, capacity)
        if way is not None:
            assert all(one.is_idle for one in way.evicted)
            table = [one for one in table if one not in way.evicted]
            table.append(
                Seat(number, want.version, want.tenant, device=way.device, memory=want.memory, holders=int(stays))
            )
        if table and freed < len(table):
            one = table.pop(freed)
            table.append(Seat(one.key, one.version, one.tenant, "", one.device, one.memory, 1, 0, float(number)))
        seen.append(list(table))
    return seen


@given(courses())
def test_a_gpu_never_holds_two_tenants_nor_more_than_its_memory(course: list[tuple[Want, bool, int]]) -> None:
    for table in follow(course, DEVICES):
        for device in DEVICES.devices:
            there = [one for one in table if one.device == device.id]
            assert len({one.tenant for one in there}) <= 1
            assert sum(one.memory or MEMORY for one in there) <= MEMORY


@given(courses(), some.integers(1, 4))
def test_no_more_instances_than_seats(course: list[tuple[Want, bool, int]], count: int) -> None:
    assert all(len(table) <= count for table in follow(course, Capacity(seats=count)))


@given(courses(), wants)
def test_there_is_always_a_way_where_a_whole_gpu_is_idle(course: list[tuple[Want, bool, int]], want: Want) -> None:
    table = follow(course, DEVICES)[-1] if course else []
    idle = [device for device in DEVICES.devices if all(one.is_idle for one in table if one.device == device.id)]
    assert not idle or seats.opening(table, want, DEVICES) is not None


def test_the_least_recently_used_goes_and_an_official_one_last() -> None:
    table = [
        Seat(0, "x", idle_since=1.0, is_favoured=True),
        Seat(1, "y", idle_since=5.0),
        Seat(2, "z", idle_since=3.0),
        Seat(3, "kept", pool="d", idle_since=0.0),
    ]
    assert seats.opening(table, Want("new"), Capacity(seats=4)) == Opening(evicted=(table[2],))
    assert seats.opening(table[:1], Want("new"), Capacity(seats=1)) == Opening(evicted=(table[0],))
    assert seats.outlived(table, now=100.0, idle_seconds=96.0) == [table[2]]


def test_a_spare_instance_pushes_out_only_what_nobody_would_miss() -> None:
    used, favoured = Seat(1, "y", idle_since=40.0), Seat(0, "x", idle_since=1.0, is_favoured=True)
    assert seats.is_spare(Opening(), now=100.0, unused_seconds=60.0)
    assert seats.is_spare(Opening(evicted=(used,)), now=100.0, unused_seconds=60.0)
    assert not seats.is_spare(Opening(evicted=(used,)), now=99.0, unused_seconds=60.0)
    assert not seats.is_spare(Opening(evicted=(used, favoured)), now=100.0, unused_seconds=60.0)


@given(some.dictionaries(some.sampled_from("abcde"), some.integers(0, 4)), some.integers(0, 9))
def test_hosts_agree_on_who_keeps_what_and_never_keep_more_than_is_wanted(table: dict[str, int], wanted: int) -> None:
    shares = {name: pools.share(table, wanted=wanted, host=name) for name in table}
    assert all(0 <= shares[name] <= table[name] for name in table)
    assert sum(shares.values()) + pools.lacking(table, wanted=wanted) == wanted


def test_a_small_model_joins_its_own_tenant_before_it_takes_another_gpu() -> None:
    table = [Seat(0, "x", "p", device="a", memory=30, holders=1)]
    assert seats.opening(table, Want("y", "p", memory=30), DEVICES) == Opening("a")
    assert seats.opening(table, Want("y", "q", memory=30), DEVICES) == Opening("b")
    assert seats.opening(table, Want("y", "p", memory=90), DEVICES) is None


def test_of_two_warm_instances_the_fuller_one_takes_the_run() -> None:
    table = [Seat(0, "x", room=4), Seat(1, "x", room=1, holders=3), Seat(2, "x", room=0, holders=4)]
    assert seats.warm(table, Want("x")) == table[1]
    assert seats.warm(table, Want("x", pool="d")) is None


def test_the_host_that_has_it_warm_then_the_one_with_the_image_then_the_longest_idle() -> None:
    warm = Host("warm", {"x": 1}, free=0)
    stored = Host("stored", free=1, stored={"x"})
    old, older = (Host(name, idle_since=at, stored={"x"}) for name, at in (("old", 5.0), ("older", 2.0)))
    bare = Host("bare", free=8)
    busy = Host("busy", stored={"x"})
    everyone = [bare, busy, old, older, stored, warm]
    order = []
    while (name := hosts.place(everyone, "x")) is not None:
        order.append(name)
        everyone = [one for one in everyone if one.name != name]
    assert order == ["warm", "stored", "older", "old", "bare"]


@given(some.integers(0, 5), some.integers(0, 5), some.integers(1, 20))
def test_whoever_sends_several_at_once_fills_no_place_twice(room: int, free: int, count: int) -> None:
    host = Host("h", {"x": room}, free=free)
    sent = 0
    while sent < count and hosts.place([host], "x"):
        host, sent = hosts.after(host, "x", now=1.0), sent + 1
    assert sent == min(count, room + free)


def test_another_instance_is_started_only_where_the_run_begins_sooner() -> None:
    def worth(ahead: int, serving: int, run: float) -> bool:
        return turns.is_worth_opening(ahead=ahead, serving=serving, run_seconds=run, start_seconds=20.0)

    assert worth(0, 0, 1.0)
    assert not worth(3, 1, 5.0)
    assert worth(4, 1, 5.0)
    assert not worth(4, 2, 5.0)
    assert worth(0, 1, 60.0)


def test_a_warm_models_run_comes_first_until_another_has_waited_too_long() -> None:
    waiting = [Waiting("1", "cold", 0.0), Waiting("2", "warm", 10.0), Waiting("3", "warm", 11.0)]

    def taken(now: float, may_open: bool = True) -> str | None:
        found = turns.next_run(waiting, warm={"warm"}, now=now, may_open=lambda one: may_open)
        return found.id if found else None

    assert taken(12.0) == "2"
    assert taken(turns.PATIENCE + 1) == "1"
    assert taken(turns.PATIENCE + 1, may_open=False) == "2"
    assert turns.next_run(waiting[:1], warm=(), now=50.0, may_open=lambda one: False) is None
