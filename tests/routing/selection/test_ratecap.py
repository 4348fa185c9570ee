"""The learned cap on requests a second, against buckets that refuse what is beyond them."""

from __future__ import annotations

import pytest

from routing.selection.ratecap import RateCap


class Bucket:
    """A provider that takes so many a second, a second's worth at once."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.tokens, self.at = max(1.0, per_second), 0.0

    def takes(self, now: float) -> bool:
        most = max(1.0, self.per_second)
        self.tokens, self.at = min(most, self.tokens + (now - self.at) * self.per_second), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def driven(cap: RateCap, bucket: Bucket, *, begin: float, end: float, every: float = 0.1) -> tuple[int, int]:
    """(taken, refused) of requests that go whenever the cap has a place."""
    taken = refused = 0
    now = begin
    while now < end:
        if cap.free_at(now) <= now:
            cap.reserve(now=now)
            cap.sent(now=now)
            if bucket.takes(now):
                taken += 1
                cap.taken()
            else:
                refused += 1
                cap.refused(now=now, retry_after=None)
        now += every
    return taken, refused


@pytest.mark.parametrize("rate", [1.5, 4.0, 8.0])
def test_a_limit_is_found_and_mostly_used(rate: float) -> None:
    cap, bucket = RateCap(), Bucket(rate)
    driven(cap, bucket, begin=0.0, end=20.0)
    taken, refused = driven(cap, bucket, begin=20.0, end=80.0)
    assert taken >= 0.8 * 60 * rate
    assert refused <= 0.4 * taken


def test_a_lifted_limit_is_found_within_ten_seconds() -> None:
    cap = RateCap()
    driven(cap, Bucket(1.5), begin=0.0, end=30.0)
    assert cap.rate is not None
    assert cap.rate < 3
    taken, _ = driven(cap, Bucket(9.0), begin=40.0, end=50.0)
    assert taken >= 40


def test_a_request_that_would_wait_too_long_takes_no_place() -> None:
    cap = RateCap()
    cap.seed(per_second=1.0, now=0.0)
    assert [cap.reserve(now=0.0, most=1.5) for _ in range(2)] == [0.0, 1.0]
    before = cap.tokens
    assert cap.reserve(now=0.0, most=1.5) == 0.0
    assert cap.tokens == before


def test_what_the_endpoint_says_is_believed_before_any_refusal() -> None:
    cap = RateCap()
    cap.said(left=3, most=60, per_second=1.0, now=10.0)
    waits = [cap.reserve(now=10.0) for _ in range(5)]
    assert waits == [0.0, 0.0, 0.0, 1.0, 2.0]
    cap.said(left=50, most=60, per_second=1.0, now=30.0)
    assert cap.free_at(30.0) <= 30.0
    assert cap.tokens == 50


def test_a_refusal_when_all_was_used_up_leaves_what_was_said() -> None:
    cap = RateCap()
    cap.said(left=0, most=60, per_second=1.0, now=10.0)
    cap.refused(now=10.0, retry_after=1.0)
    assert cap.rate == 1.0
    assert cap.free_at(10.0) == 11.0
    cap.said(left=5, most=60, per_second=2.0, now=12.0)
    assert (cap.rate, cap.tokens) == (2.0, 5)


def test_an_endpoint_that_refuses_though_it_says_there_is_room_is_judged_by_what_it_does() -> None:
    cap = RateCap()
    cap.said(left=59, most=60, per_second=20.0, now=10.0)
    for i in range(3):
        cap.reserve(now=10.0 + i / 10)
        cap.sent(now=10.0 + i / 10)
    cap.refused(now=10.3, retry_after=None)
    assert cap.rate is not None
    learned = cap.rate
    assert learned < 3
    cap.said(left=59, most=60, per_second=20.0, now=11.0)
    assert cap.rate == learned
    cap.said(left=59, most=60, per_second=20.0, now=80.0)
    assert cap.rate == 20.0
