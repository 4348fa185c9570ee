"""Models that think before they answer: in silence, which is no outage, or aloud, where silence is one."""

import pytest

from routing.selection import deadlines
from routing.selection.candidates import Candidate
from routing.selection.router import Router
from routing.selection.thoughts import ENOUGH, Thoughts

MODEL = "acme/thinker"
WHOLE = 300.0
NONE: frozenset[str] = frozenset()
ONE, TWO = (
    Candidate(i, MODEL, f"p{i}", f"P{i}", 8_192, None, NONE, NONE, frozenset({"reasoning"}), "fp8", {"prompt": 1})
    for i in (1, 2)
)


def asked(router: Router, endpoint_id: int, *, seconds: float, at: float, may_think: bool = True) -> None:
    """A call that is answered, its first token after so many seconds, 100 tokens in one second after it."""
    ticket = router.begin(endpoint_id, tokens=100, now=at, may_think=may_think)
    router.first(ticket, now=at + seconds)
    router.ended(ticket, now=at + seconds + 1, model=MODEL, output_tokens=100)


def patience(
    router: Router, endpoint_id: int, *, at: float, may_think: bool = True, others: tuple[Candidate, ...] = ()
) -> float:
    ticket = router.begin(endpoint_id, tokens=100, now=at, may_think=may_think)
    found = router.patience(ticket, whole=WHOLE, is_last=False, others=others)
    router.dropped(ticket, now=at)
    return found


def lived(*seconds: float) -> Router:
    router = Router()
    for i, one in enumerate(seconds):
        asked(router, 1, seconds=one, at=100.0 * i)
    return router


def test_who_was_never_heard_thinking_gets_half_a_minute() -> None:
    assert patience(Router(), 1, at=0.0) == deadlines.THINKING
    assert patience(Router(), 1, at=0.0, may_think=False) < 5


def test_where_thoughts_come_aloud_silence_is_an_outage_as_anywhere() -> None:
    assert patience(lived(*[0.5] * ENOUGH), 1, at=9_000.0) < 5
    assert patience(lived(*[0.5] * (ENOUGH - 1)), 1, at=9_000.0) == deadlines.THINKING


def test_where_they_are_silent_all_the_time_there_is_is_given() -> None:
    assert patience(lived(0.5, 40.0), 1, at=9_000.0) == WHOLE


def test_what_one_endpoint_of_a_model_does_the_other_may_do_too() -> None:
    assert patience(lived(40.0), 2, at=9_000.0, others=(ONE,)) == WHOLE
    assert patience(lived(*[0.5] * 9), 2, at=9_000.0, others=(ONE,)) == deadlines.THINKING


def test_one_that_was_silent_once_is_believed_to_speak_again_after_a_while() -> None:
    thoughts = Thoughts()
    thoughts.first_token(seconds=60.0, usual=0.5)
    said = 0
    while not thoughts.are_aloud:
        thoughts.first_token(seconds=0.5, usual=0.5)
        said += 1
    assert 10 < said < 40


def test_long_thoughts_say_nothing_of_how_fast_an_endpoint_is_or_how_much_it_takes() -> None:
    router = Router()
    for i in range(20):
        asked(router, 1, seconds=0.5, at=float(i), may_think=False)
    before = router.standing(1).line_at(30.0)
    limit = router.standing(1).capacity.limit
    tickets = [router.begin(1, tokens=100, now=30.0, may_think=True) for _ in range(8)]
    while_they_think = router.standing(1).line_at(60.0)
    for ticket in tickets:
        router.first(ticket, now=70.0)
        router.ended(ticket, now=71.0, model=MODEL, output_tokens=2_000)
    after = router.standing(1).line_at(71.0)
    assert while_they_think.tier == before.tier
    assert after.hopeful == before.hopeful
    assert router.standing(1).capacity.limit >= limit
    assert after.pace == pytest.approx(41 / 2_000, rel=0.5)  # thoughts are tokens too
    assert router.standing(1).doubt < 0.01


def test_streams_that_may_be_thinking_are_not_taken_for_an_endpoint_that_fell_silent() -> None:
    router = Router()
    for i in range(20):
        asked(router, 1, seconds=0.5, at=float(i), may_think=False)
        asked(router, 2, seconds=0.5, at=float(i), may_think=False)
    tickets = [router.begin(1, tokens=100, now=30.0 + i / 10, may_think=True) for i in range(8)]
    assert all(router.wait_on(one, [TWO], patience=30.0, whole=WHOLE, now=50.0) > 0 for one in tickets)
    plain = [router.begin(2, tokens=100, now=30.0 + i / 10) for i in range(8)]
    assert router.wait_on(plain[0], [ONE], patience=30.0, whole=WHOLE, now=50.0) == 0


def test_a_probe_that_may_think_is_not_waited_for_as_long() -> None:
    router = lived(40.0)
    router.standing(1).breaker.hold_until(9_000.0, now=8_999.0)
    ticket = router.begin(1, tokens=100, now=9_001.0, may_think=True)
    assert ticket.is_probe
    assert router.patience(ticket, whole=WHOLE, is_last=False) == deadlines.THINKING
