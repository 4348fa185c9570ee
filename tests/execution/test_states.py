from hypothesis import given
from hypothesis import strategies as st

from execution import states
from execution.states import Status

statuses = st.sampled_from(list(Status))


def test_aborted_is_never_a_status() -> None:
    assert "aborted" not in {status.value for status in Status}


@given(old=st.sampled_from(sorted(states.TERMINAL)), new=statuses)
def test_nothing_follows_an_end(old: Status, new: Status) -> None:
    assert not states.may_move(old, new)
    assert states.is_terminal(old)


@given(path=st.lists(statuses, max_size=30))
def test_any_walk_has_at_most_one_end(path: list[Status]) -> None:
    now, ends = Status.STARTING, 0
    for new in path:
        if states.may_move(now, new):
            now = new
            ends += states.is_terminal(new)
    assert ends <= 1
    assert states.is_terminal(now) == (ends == 1)


@given(old=statuses, new=statuses)
def test_the_guard_of_an_update_is_the_move_table_read_backwards(old: Status, new: Status) -> None:
    assert (old in states.sources_of(new)) == states.may_move(old, new)


def test_a_lost_run_waits_for_another_worker() -> None:
    assert states.may_move("processing", "starting")
    assert not states.may_move("starting", "succeeded")
