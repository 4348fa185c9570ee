"""A second host with a disk of its own: when the first is full for a while it makes the build and takes its part."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.test_workers import all_at_once, nothing_is_open, second_worker
from tests.journeys.hosting import assert_each_ended_and_was_charged_once, customer, published
from tests.servers.system import System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def test_a_host_without_the_build_makes_it_and_shares_the_work(grown: System, tmp_path: Path) -> None:
    payer, version = customer(grown), published(grown, "hello-text")
    own = {"TURNPIKE_VAR": str(tmp_path), "TURNPIKE_FILES": str(grown.var / "files")}
    with second_worker(grown, SECRET_KEY_FILE=str(grown.var / "secret_key"), **own):
        asyncio.run(all_at_once(payer, version, predictions=8, seconds=25.0))
        wait_until(lambda: nothing_is_open(payer), within=300, what="every prediction has ended")
    assert len(list((tmp_path / "builds").iterdir())) == 1
    assert [row["status"] for row in payer.books()["predictions"]] == ["succeeded"] * 8
    assert_each_ended_and_was_charged_once(payer)
    grown.manage("check_invariants")
