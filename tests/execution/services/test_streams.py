"""A prediction's stream, told from its row at any position."""

import pytest
from django.utils import timezone

from execution.models import Prediction
from execution.services import streams
from execution.services.streams import Position, told

BASE = "http://testserver"


def row(**fields: object) -> Prediction:
    return Prediction(**{"account_id": 1, "status": "processing", "fence": 1, "logs": "", **fields})


def names(found: list[streams.Told]) -> list[tuple[str, str]]:
    return [(one.name, one.data) for one in found]


def test_logs_and_pieces_come_once_each_and_the_end_last() -> None:
    first = told(row(output=["a", "b"], logs="one\n"), Position(), base=BASE)
    assert names(first) == [("logs", "one\n"), ("output", "a"), ("output", "b")]
    done = row(output=["a", "b", "c"], logs="one\ntwo\n", status="succeeded")
    assert names(told(done, first[-1].position, base=BASE)) == [("logs", "two\n"), ("output", "c"), ("done", "{}")]


def test_a_reader_goes_on_after_any_event_that_it_has_seen() -> None:
    whole = told(row(output=["a", "b", "c"], logs="log", status="succeeded"), Position(), base=BASE)
    for count, event in enumerate(whole[:-1], start=1):
        again = streams.position_of(event.position.id(now=timezone.now()))
        rest = told(row(output=["a", "b", "c"], logs="log", status="succeeded"), again, base=BASE)
        assert names(rest) == names(whole[count:])


@pytest.mark.parametrize("text", ["", "nonsense", "1:2", "1:1.1.1.1", "-1:1.1.1"])
def test_an_id_that_is_none_of_ours_is_the_beginning(text: str) -> None:
    assert streams.position_of(text) == Position()


def test_a_failed_run_is_an_error_and_a_canceled_one_says_so() -> None:
    failed = names(told(row(status="failed", error="out of paper"), Position(), base=BASE))
    assert failed == [("error", '{"detail": "out of paper"}'), ("done", '{"reason": "error"}')]
    assert names(told(row(status="canceled"), Position(), base=BASE)) == [("done", '{"reason": "canceled"}')]


def test_output_of_two_attempts_is_never_mixed() -> None:
    seen = told(row(output=["a"]), Position(), base=BASE)[-1].position
    [error, done] = told(row(output=["b", "c"], fence=2), seen, base=BASE)
    assert "began anew" in error.data
    assert (done.name, done.data) == ("done", '{"reason": "error"}')


def test_a_reader_who_had_no_output_yet_follows_the_next_attempt_from_its_beginning() -> None:
    seen = told(row(logs="a long beginning"), Position(), base=BASE)[-1].position
    assert names(told(row(output=["b"], logs="new", fence=2), seen, base=BASE)) == [("logs", "new"), ("output", "b")]


def test_values_are_json_and_a_single_output_comes_with_the_end() -> None:
    found = told(row(output=[{"x": 1}, 2]), Position(), base=BASE)
    assert [one.data for one in found] == ['{"x": 1}', "2"]
    assert told(row(output="whole"), Position(), base=BASE) == []
    assert names(told(row(output="whole", status="succeeded"), Position(), base=BASE))[0] == ("output", "whole")
