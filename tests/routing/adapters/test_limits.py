"""What answers' headers say of rate limits, in the forms that providers use."""

from __future__ import annotations

import pytest

from routing.adapters.limits import HEADERS, Limit, duration, read_limit


def openai(limit: str, remaining: str, reset: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }


def test_a_minutes_worth_is_told_by_how_fast_it_comes_back() -> None:
    limit = read_limit(openai("5000", "4999", "12ms"))
    assert limit is not None
    assert (limit.left, limit.most) == (4_999, 5_000)
    assert limit.per_second == pytest.approx(5_000 / 60)


def test_a_days_worth_under_the_same_names_is_not_taken_for_a_minutes() -> None:
    limit = read_limit(openai("14400", "14370", "2m59.56s"))
    assert limit is not None
    assert limit.per_second == pytest.approx(14_400 / 86_400, rel=0.01)


def test_anthropics_is_by_the_minute() -> None:
    said = {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"}
    assert read_limit(said) == Limit(left=49, most=50, per_second=50 / 60)
    assert set(said) < set(HEADERS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        openai("60", "60", "0s"),
        openai("60", "61", "1s"),
        openai("60", "30", ""),
        openai("60", "30", "soon"),
        openai("many", "30", "1s"),
        openai("nan", "30", "1s"),
        openai("-1", "-2", "1s"),
        openai("inf", "0", "1s"),
        {"x-ratelimit-limit-requests": "60"},
        {"anthropic-ratelimit-requests-limit": "5", "anthropic-ratelimit-requests-remaining": "6"},
    ],
)
def test_what_makes_no_sense_says_nothing(headers: dict[str, str]) -> None:
    assert read_limit(headers) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("12ms", 0.012), ("1s", 1), ("6m0s", 360), ("1m30.5s", 90.5), ("2h", 7_200), ("1d2h", 93_600), ("17", 17),
        ("1.5", 1.5), ("", None), (None, None), ("s", None), ("1x", None), ("1s later", None), ("-1s", None),
    ],
)  # fmt: skip
def test_durations_are_read_in_every_unit(said: str | None, seconds: float | None) -> None:
    assert duration(said) == (None if seconds is None else pytest.approx(seconds))
