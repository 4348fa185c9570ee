"""Cool-down after failures, one trial afterwards, Retry-After honoured."""

from __future__ import annotations

from routing.canonical import UpstreamError, UpstreamKind
from routing.services.health import COOL_DOWN, COOL_DOWN_MAX, TRIAL, Health


def error(kind: UpstreamKind = "unavailable", retry_after: float | None = None) -> UpstreamError:
    return UpstreamError("x", kind=kind, retryable=True, retry_after=retry_after)


def is_healthy(health: Health, now: float) -> bool:
    found = health.standings([1], now=now)
    return found[1].is_healthy if found else True


def test_a_failure_cools_down_and_each_further_one_longer() -> None:
    health = Health()
    assert is_healthy(health, 0)
    health.failed(1, error(), now=0)
    assert not is_healthy(health, COOL_DOWN - 0.1)
    assert is_healthy(health, COOL_DOWN)
    health.failed(1, error(), now=10)
    assert not is_healthy(health, 10 + 2 * COOL_DOWN - 0.1)
    for _ in range(20):
        health.failed(1, error(), now=20)
    assert is_healthy(health, 20 + COOL_DOWN_MAX)


def test_after_the_cool_down_one_trial_goes_through_and_the_others_wait_for_it() -> None:
    health = Health()
    health.failed(1, error(), now=0)
    health.begin(1, now=COOL_DOWN)
    assert not is_healthy(health, COOL_DOWN + 0.1)
    assert is_healthy(health, COOL_DOWN + TRIAL)
    health.succeeded(1, latency_s=0.5)
    assert is_healthy(health, COOL_DOWN + 0.1)


def test_retry_after_is_honoured_but_not_for_ever() -> None:
    health = Health()
    health.failed(1, error("rate_limited", retry_after=17), now=0)
    assert not is_healthy(health, 16.9)
    assert is_healthy(health, 17)
    health.failed(1, error("rate_limited", retry_after=3600), now=20)
    assert is_healthy(health, 20 + 300)


def test_a_callers_mistake_is_no_failure() -> None:
    health = Health()
    health.failed(1, error("invalid"), now=0)
    assert is_healthy(health, 0)


def test_speeds_are_smoothed() -> None:
    health = Health()
    health.succeeded(1, latency_s=1.0)
    health.succeeded(1, latency_s=2.0)
    health.measured(1, tokens_per_s=50)
    standing = health.standings([1], now=0)[1]
    assert standing.latency_s == 1.2
    assert standing.tokens_per_s == 50
