"""Bells are heard at once by whoever listens for their topic, and cost nothing where nobody does."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from marketplace.lib import bells
from marketplace.lib.bells import Bell


@pytest.fixture(autouse=True)
def var(settings, tmp_path: Path) -> Path:
    """A folder of its own, deeper than the address of a socket may be long."""
    settings.VAR = tmp_path / ("deep" * 30)
    return settings.VAR


def test_a_ring_is_heard_by_all_who_listen_for_its_topic_and_by_no_other() -> None:
    assert bells.ring("runs", "early") == 0
    one, two, other = Bell("runs"), Bell("runs"), Bell("runs.gpu")
    try:
        assert bells.ring("runs", "a") == 2
        assert bells.ring("runs", "b") == 2
        assert (one.wait(), one.heard(), one.heard()) == ("a", {"b"}, set())
        assert two.heard() == {"a", "b"}
        assert other.heard() == set()
    finally:
        for bell in (one, two, other):
            bell.close()
    assert bells.ring("runs", "late") == 0


def test_a_bell_that_is_closed_lets_its_listener_go_and_leaves_nothing(var: Path) -> None:
    bell = Bell("runs")
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.append(bell.wait()))
    listener.start()
    bell.close()
    listener.join(20)
    assert (listener.is_alive(), heard) == (False, [""])
    assert list((var / "run" / "bells").iterdir()) == []


def test_the_bell_of_a_dead_process_is_taken_away(var: Path) -> None:
    living = Bell("runs")
    left = var / "run" / "bells" / "runs.1-dead"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(living._place.address(left.name))
    assert left.exists()
    try:
        assert bells.ring("runs", "a") == 1
        assert (left.exists(), living.heard()) == (False, {"a"})
    finally:
        living.close()


def test_one_who_does_not_listen_holds_nobody_up() -> None:
    deaf, living = Bell("runs"), Bell("runs")
    try:
        told = [bells.ring("runs", str(number)) for number in range(3000) if living.heard() is not None]
        assert (told[0], told[-1]) == (2, 1)
    finally:
        deaf.close()
        living.close()
