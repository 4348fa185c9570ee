"""What of a prompt an endpoint is expected to have cached, and what is learned of that."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.selection.affinity import FIRST_SHARE, MOST_PLACES, TOLD_AGAIN, Affinities
from routing.selection.prefixes import Prefixes


def prompt(*blocks: str, name: bytes | None = None, seconds: float = 600.0) -> Prefixes:
    """A prompt of blocks, each known with all before it."""
    keys = tuple(" ".join(blocks[: i + 1]).encode() for i in range(len(blocks)))
    return Prefixes(keys, tuple((i + 1) / len(blocks) for i in range(len(blocks))), name=name, seconds=seconds)


def answered(known: Affinities, said: Prefixes, *, at: int, cached: int | None = None, now: float = 0.0) -> None:
    known.answered(said, endpoint_id=at, tokens=10_000, cached_tokens=cached, now=now)


def expected(known: Affinities, said: Prefixes, *, now: float = 1.0) -> dict[int, int]:
    return known.cached(said, tokens=10_000, now=now)


def test_each_endpoint_has_the_longest_beginning_that_it_has_read() -> None:
    known = Affinities()
    answered(known, prompt("head", "talk", "more"), at=1)
    answered(known, prompt("head", "other"), at=2)
    found = expected(known, prompt("head", "talk", "new", "words"))
    assert found == {1: int(5_000 * FIRST_SHARE), 2: int(2_500 * FIRST_SHARE)}
    assert expected(known, prompt("another head", "talk")) == {}


def test_a_failover_does_not_forget_where_the_prompt_was_before() -> None:
    known = Affinities()
    answered(known, prompt("head", "talk"), at=1)
    answered(known, prompt("head", "talk"), at=2, now=5.0)
    assert set(expected(known, prompt("head", "talk"), now=6.0)) == {1, 2}


def test_it_is_gone_after_a_while_without_use_and_each_use_keeps_it() -> None:
    known = Affinities()
    answered(known, prompt("head"), at=1)
    answered(known, prompt("head"), at=1, now=500.0)
    assert expected(known, prompt("head"), now=1_099.0)
    assert not expected(known, prompt("head"), now=1_101.0)
    answered(known, prompt("long"), at=1, now=0.0)
    answered(known, prompt("longer", seconds=3_600.0), at=1, now=0.0)
    assert not expected(known, prompt("long"), now=3_599.0)
    assert expected(known, prompt("longer"), now=3_599.0)


def test_what_is_found_again_is_learned_for_the_kind_of_prompt_and_the_endpoint() -> None:
    known = Affinities()
    for _ in range(10):
        answered(known, prompt("head", "talk"), at=1, cached=0)
        answered(known, prompt("head", "talk"), at=2, cached=10_000)
    found = expected(known, prompt("head", "talk"))
    assert found[1] < 300
    assert found[2] > 9_900
    answered(known, prompt("other head"), at=1)
    assert expected(known, prompt("other head")) == {1: 8_000}


def test_what_is_too_short_to_be_cached_says_nothing_of_what_is_longer() -> None:
    known = Affinities()
    for _ in range(10):
        known.answered(prompt("head"), endpoint_id=1, tokens=500, cached_tokens=0, now=0.0)
    assert known.cached(prompt("head"), tokens=500, now=1.0)[1] < 20
    assert expected(known, prompt("head")) == {1: 8_000}


def test_nothing_said_teaches_nothing() -> None:
    known = Affinities()
    for _ in range(5):
        answered(known, prompt("head"), at=1, cached=None)
    assert expected(known, prompt("head")) == {1: 8_000}


def test_a_named_conversation_stays_whatever_it_begins_with() -> None:
    known = Affinities()
    answered(known, prompt("one", name=b"s"), at=1)
    assert expected(known, prompt("two", name=b"s")) == {1: 8_000}
    assert expected(known, prompt("two")) == {}
    answered(known, prompt("two", name=b"s"), at=2)
    assert expected(known, prompt("three", name=b"s")) == {2: 8_000}
    for _ in range(10):
        answered(known, prompt("four", name=b"s"), at=2, cached=0)
    assert expected(known, prompt("five", name=b"s"))[2] < 300


def test_what_one_process_is_told_by_another_counts_as_its_own() -> None:
    one, other = Affinities(), Affinities()
    answered(one, prompt("head", "talk", name=b"s"), at=1, now=100.0)
    other.heard(one.news(most=1_000, now=101.0), then=5.0)
    assert expected(other, prompt("head", "talk"), now=6.0) == {1: 8_000}
    assert expected(other, prompt("else", name=b"s"), now=6.0) == {1: 8_000}
    assert not expected(other, prompt("head", "talk"), now=5.0 + 600.0)
    assert one.news(most=1_000, now=101.0) == []


def test_what_is_used_all_the_time_is_told_of_now_and_then_and_not_each_time() -> None:
    one = Affinities()
    told: list[float] = []
    for second in range(300):
        answered(one, prompt("head"), at=1, now=float(second))
        told += [float(second) for _ in one.news(most=10, now=float(second))]
    assert len(told) == 5
    assert all(later - sooner <= TOLD_AGAIN + 1 for sooner, later in itertools.pairwise(told))


def test_news_come_in_portions_and_what_is_over_is_no_news() -> None:
    one = Affinities()
    answered(one, prompt("a", "b", "c"), at=1)
    assert [told.key for told in one.news(most=2, now=1.0)] == [b"a", b"a b"]
    assert one.news(most=2, now=601.0) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.floats(0, 5_000)), max_size=200))
def test_memory_is_bounded_and_no_more_is_expected_than_was_asked(calls: Iterable[tuple[int, int, float]]) -> None:
    known = Affinities(most=20)
    for words, endpoint_id, now in calls:
        said = prompt(f"app {words % 3}", f"talk {words}", name=b"n%d" % words if words % 2 else None)
        known.answered(said, endpoint_id=endpoint_id, tokens=words * 100, cached_tokens=words * 150, now=now)
        found = known.cached(said, tokens=words * 100, now=now)
        assert all(0 <= tokens <= words * 100 for tokens in found.values())
        assert len(found) <= MOST_PLACES + 1
        assert len(known) <= 40


@pytest.mark.parametrize("name", [None, b"s"])
def test_no_prompt_has_no_place(name: bytes | None) -> None:
    assert Affinities().cached(Prefixes(name=name), tokens=100, now=0.0) == {}
