"""What processes tell each other: that an outage, a recovery and a limit are known, and that no message does harm."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.canonical import UpstreamError
from routing.selection import reports
from routing.selection.candidates import Candidate
from routing.selection.history import History
from routing.selection.prefixes import Prefixes
from routing.selection.reports import Hearing, Notes, Report
from routing.selection.router import Router
from routing.selection.standing import OPEN, SHUT

READ = {"key": "0f" * 12, "endpoint": 7, "seconds": 600.0}
SECRET = b"a secret that all processes of one installation have"
DOWN = UpstreamError("x", kind="unavailable", retryable=True, status=503)
FULL = UpstreamError("x", kind="rate_limited", retryable=True, status=429, retry_after=20.0)
MODEL = "acme/small"


class Process:
    """A router with its notes and its ear; `skew` is its clock before the common one."""

    def __init__(self, name: str, *, skew: float = 0.0) -> None:
        self.sender = name * 32
        self.skew = skew
        self.router = Router()
        self.notes = Notes()
        self.hearing = Hearing(sender=self.sender)
        self.histories: dict[int, History] = {}
        self.told = 0

    def call(self, endpoint_id: int, *, at: float, seconds: float = 0.3, error: UpstreamError | None = None) -> None:
        began, now = at + self.skew, at + self.skew + seconds
        ticket = self.router.begin(endpoint_id, tokens=100, now=began)
        if error is None:
            self.router.first(ticket, now=now)
            self.notes.first(ticket, now=now, is_whole=False)
            self.notes.ended(ticket, now=now + 1, output_tokens=100)
            self.router.ended(ticket, now=now + 1, model=MODEL, output_tokens=100)
            self.notes.of(endpoint_id).slot.good += 1
            return
        self.router.failed(ticket, error, now=now, chance=0.5)
        if error.kind == "rate_limited":
            self.notes.of(endpoint_id).slot.limited += 1
        else:
            self.notes.failed(ticket, now=now)
            self.notes.of(endpoint_id).slot.bad += 1

    def tell(self, *, at: float) -> Report | None:
        self.told += 1
        return self.notes.report(self.router, sender=self.sender, number=self.told, at=at, now=at + self.skew)

    def hear(self, report: Report | None, *, at: float) -> bool:
        assert report is not None
        return self.hearing.take(
            report, router=self.router, histories=self.histories, at=at, now=at + self.skew, wall=1e9 + at
        )

    def tier(self, endpoint_id: int, *, at: float) -> int:
        return self.router.standing(endpoint_id).line_at(at + self.skew).tier


def test_an_outage_that_one_process_sees_is_known_by_another_whose_clock_is_its_own() -> None:
    one, two = Process("a", skew=5_000.0), Process("b", skew=70.0)
    two.call(7, at=0.0)
    for i in range(3):
        one.call(7, at=10.0 + i / 10, seconds=0.05, error=DOWN)
    assert two.tier(7, at=10.9) == OPEN
    assert two.hear(one.tell(at=10.8), at=11.0)
    assert two.tier(7, at=11.0) == SHUT
    seen = two.histories[7].over(300, now=1e9 + 11)
    assert (seen.calls, seen.uptime) == (3, 0.0)


def test_a_recovery_is_known_too() -> None:
    one, two = Process("a"), Process("b")
    for i in range(3):
        one.call(7, at=float(i), seconds=0.05, error=DOWN)
    two.hear(one.tell(at=2.1), at=2.2)
    one.call(7, at=6.0)
    two.hear(one.tell(at=6.5), at=6.6)
    assert two.router.standing(7).breaker.is_open is False


def test_hearsay_does_not_outweigh_an_answer_that_came_since() -> None:
    broken_host, well = Process("a"), Process("b")
    for i in range(3):
        broken_host.call(7, at=10 + i / 100, seconds=0.01, error=DOWN)
    well.call(7, at=10.5)
    well.hear(broken_host.tell(at=10.9), at=11.0)
    assert well.tier(7, at=11.0) == OPEN


def test_what_an_endpoint_has_read_is_known_by_a_process_that_never_called_it() -> None:
    """So that a conversation whose next turn comes to another process finds its prompt cached all the same."""
    one, two = Process("a"), Process("b", skew=70.0)
    talk = Prefixes((b"a" * 12, b"b" * 12), (0.5, 1.0), name=b"n" * 12)
    caching = Candidate(
        7, MODEL, "p", "P", 8_192, None, frozenset(), frozenset(), frozenset(), "fp8",
        {"prompt": 100, "completion": 200, "cached_read": 10},
    )  # fmt: skip
    one.router.answered(talk, candidate=caching, tokens=1_000, cached_tokens=None, now=10.0)
    told = one.tell(at=10.5)
    assert told is not None
    assert reports.read(reports.write(told, secret=SECRET), secret=SECRET) == told
    assert two.hear(told, at=11.0)
    assert two.router.demand(model=MODEL, tokens=2_000, max_tokens=10, prompt=talk, now=82.0).cached == {7: 1_600}
    assert one.tell(at=11.5) is None


def test_the_longest_report_is_not_too_long_to_be_read() -> None:
    one = Process("a")
    for i in range(reports.MOST_READ):
        one.router.affinities.answered(
            Prefixes((i.to_bytes(12, "big"),), (1.0,)), endpoint_id=2**61 + i, tokens=9, cached_tokens=None, now=1.0
        )
    for i in range(reports.MOST_ENDPOINTS):
        for k in range(30):
            one.call(i, at=k / 10, seconds=k / 7, error=DOWN if k % 5 == 0 else None)
    told = one.tell(at=3.0)
    assert told is not None
    assert (len(told.read), len(told.seen)) == (reports.MOST_READ, reports.MOST_ENDPOINTS)
    assert reports.read(reports.write(told, secret=SECRET), secret=SECRET) == told


def test_a_refusal_for_want_of_capacity_and_its_retry_after_are_known() -> None:
    one, two = Process("a"), Process("b")
    for i in range(20):
        one.call(7, at=i / 10)
    one.call(7, at=2.0, error=FULL)
    two.hear(one.tell(at=2.4), at=2.5)
    rate = two.router.standing(7).rate
    assert rate.free_at(2.5) == pytest.approx(2.3 + 20.0)
    assert rate.rate == pytest.approx(one.router.standing(7).rate.rate)


def test_a_newcomer_learns_how_fast_an_endpoint_is() -> None:
    one, two = Process("a"), Process("b")
    for i in range(20):
        one.call(7, at=float(i), seconds=1.7)
    two.hear(one.tell(at=21.0), at=21.2)
    line = two.router.standing(7).line
    assert line.level + line.per_token * 100 == pytest.approx(1.7, rel=0.05)
    assert line.is_timed
    assert line.is_paced


def test_each_report_counts_once_and_none_of_ours_or_of_long_ago() -> None:
    one, two = Process("a"), Process("b")
    one.call(7, at=0.0)
    first = one.tell(at=2.0)
    one.call(7, at=2.0)
    second = one.tell(at=4.0)
    assert two.hear(second, at=4.1)
    assert not two.hear(second, at=4.2), "a duplicate"
    assert not two.hear(first, at=4.2), "overtaken"
    assert not one.hear(second, at=4.2), "our own"
    assert not Process("c").hear(second, at=4.0 + reports.MOST_AGE + 1), "too late"
    assert not Process("c").hear(second, at=4.0 - reports.AHEAD - 1), "from a future"
    assert two.histories[7].over(300, now=1e9 + 5).calls == 1


def test_counts_add_up_in_any_order() -> None:
    tellers = [Process(name) for name in "abcde"]
    for i, teller in enumerate(tellers):
        for k in range(i + 1):
            teller.call(7, at=k / 10)
    told = [teller.tell(at=3.0) for teller in tellers]
    for seed in range(5):
        random.Random(seed).shuffle(told)
        hearer = Process("f")
        for report in told:
            hearer.hear(report, at=3.5)
        assert hearer.histories[7].over(300, now=1e9 + 4).calls == 15
        assert hearer.router.standing(7).reliability.calls == pytest.approx(15 * math.exp(-0.5 / (10 / 0.6931)))


def test_nothing_is_told_where_nothing_happened() -> None:
    one = Process("a")
    assert one.tell(at=0.0) is None
    one.call(7, at=0.0)
    assert one.tell(at=2.0) is not None
    assert one.tell(at=3.0) is None


def test_what_nobody_could_be_told_in_time_is_dropped() -> None:
    one = Process("a")
    one.tell(at=0.0)
    one.call(7, at=1.0)
    assert one.tell(at=2.0 + reports.MOST_AGE) is None


def test_a_report_comes_back_as_it_was_written_and_is_small() -> None:
    one = Process("a")
    for i in range(50):
        one.call(7, at=i / 50, seconds=0.2 + i / 100)
    report = one.tell(at=3.0)
    assert report is not None
    message = reports.write(report, secret=SECRET)
    assert reports.read(message, secret=SECRET) == report
    assert len(message) < 1_000


def _forged(message: bytes) -> bytes:
    return message[:16] + message[16:].replace(b'"good":1', b'"good":9')


def _signed(**fields: object) -> bytes:
    body = orjson.dumps({"sender": "a" * 32, "number": 1, "at": 1.0, "seen": []} | fields)
    return reports._signature(body, SECRET) + body


@pytest.mark.parametrize(
    "spoil",
    [
        _forged,
        lambda message: message[:-1],
        lambda message: message[1:],
        lambda message: b"",
        lambda message: message + b" " * reports.MOST_BYTES,
        lambda message: _signed(number=0),
        lambda message: _signed(at="soon"),
        lambda message: _signed(more=1),
        lambda message: _signed(seen=[{"endpoint": 1, "good": -1}]),
        lambda message: _signed(seen=[{"endpoint": 2**63}]),
        lambda message: _signed(seen=[{"endpoint": 1, "open_s": 1e9}]),
        lambda message: _signed(seen=[{"endpoint": 1}] * (reports.MOST_ENDPOINTS + 1)),
        lambda message: _signed(seen=[{"endpoint": 1, "latency": {"x": 1}}]),
        lambda message: _signed(read=[READ | {"key": "not hex"}]),
        lambda message: _signed(read=[READ | {"seconds": 1e6}]),
        lambda message: _signed(read=[READ] * (reports.MOST_READ + 1)),
    ],
)
def test_what_is_garbled_forged_or_beyond_bounds_is_not_read(spoil: Callable[[bytes], bytes]) -> None:
    one = Process("a")
    one.call(7, at=0.0)
    report = one.tell(at=2.0)
    assert report is not None
    assert reports.read(spoil(reports.write(report, secret=SECRET)), secret=SECRET) is None


SEEN = st.fixed_dictionaries(
    {"endpoint": st.integers(1, 3)},
    optional={
        **{name: st.integers(0, 1_000_000) for name in ("good", "bad", "limited", "answered", "failed", "firsts")},
        **{name: st.integers(0, 1_000_000) for name in ("paced",)},
        **{name: st.floats(0, 1e12) for name in ("lost_s", "first_s", "first_tokens", "pace_s")},
        **{name: st.floats(0, 3_600) for name in ("open_s", "failed_ago", "answered_ago", "blocked_s")},
        "rate": st.floats(1e-9, 1e6),
        "latency": st.dictionaries(st.integers(0, 400).map(str), st.integers(0, 1_000_000), max_size=5),
    },
)


@given(st.lists(st.lists(SEEN, max_size=3), max_size=6), st.floats(0, 30))
def test_whatever_is_said_costs_stay_finite_and_no_endpoint_is_shut_for_longer_than_a_minute(
    said: list[list[dict[str, object]]], age: float
) -> None:
    hearer = Process("b")
    for number, seen in enumerate(said, start=1):
        message = _signed(number=number, at=100.0, seen=seen)
        report = reports.read(message, secret=SECRET)
        assert report is not None
        assert hearer.hear(report, at=100.0 + age)
    for endpoint_id in (1, 2, 3):
        standing = hearer.router.standing(endpoint_id)
        standing.refresh(100.0 + age)
        line = standing.line
        assert all(math.isfinite(value) for value in line)
        assert hearer.tier(endpoint_id, at=100.0 + age + 61) != SHUT
