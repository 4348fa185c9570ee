"""`make bench-routing-http`: simulated providers do over sockets what their scenario says; a gateway before them."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.routing.fleet import Truth
from benchmarks.routing.scenarios import FAST, HANG, Fault, Scenario
from benchmarks.routing.wire import order
from benchmarks.routing.wire.lanes import DIALECT, chat_of
from benchmarks.routing.wire.servers import Process, Run, started
from benchmarks.routing.workload import Request
from benchmarks.routing.world import Job
from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError, Usage
from routing.upstream import Sender

# Names are resolved on the pool, whose threads look after the connections that earlier tests left in them.
pytestmark = pytest.mark.django_db

TIMES = 10.0
QUICK = Truth(
    prompt=0.2, completion=0.4, cached=None, ttft=0.2, noise=0.25, prefill=8_000, tps=100, slots=1, limit=None,
    failures=0,
)  # fmt: skip
HANGING, BROKEN, LIMITED, WELL = range(4)
FLEET = [QUICK, QUICK, replace(QUICK, limit=0.001), QUICK]
FOR_EVER = 1e6


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with started(len(FLEET)) as process:
        yield process


@pytest.fixture(autouse=True)
def _running(process: Process, settings: Any) -> None:
    settings.PRIVATE_ORIGINS = frozenset(f"127.0.0.1:{port}" for port in process.ports)
    scenario = Scenario("test", (Fault(HANGING, HANG, 0, FOR_EVER), Fault(BROKEN, FAST, 0, FOR_EVER)))
    process.begin(Run(time.monotonic(), TIMES, FLEET, scenario, seed=1, lanes=1, early=True))


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def ask(sender: Sender, process: Process, index: int, *, number: int = 0, patience: float = 20.0) -> Usage:
    """One request of a hundred tokens, answered with a hundred; its usage."""
    adapter = adapter_for(DIALECT)
    target = Target(f"http://127.0.0.1:{process.ports[index]}/0/v1", "simulated", {"api_key": "x"})
    chat = chat_of(Job(number, Request(0.0, 100, 100)))
    request = adapter.build(chat, target=target, stream=True, max_tokens=None)
    stream = await sender.open_stream(request, adapter=adapter, patience=patience)
    try:
        pieces = [chunk async for batch in stream.chunks() for chunk in batch]
    finally:
        await stream.close()
    usage = pieces[-1].usage
    assert usage is not None
    return usage


async def test_who_is_well_streams_an_answer_with_its_usage(process: Process, sender: Sender) -> None:
    began = time.monotonic()
    usage = await ask(sender, process, WELL)
    assert (usage.prompt_tokens, usage.completion_tokens) == (100, 100)
    assert time.monotonic() - began > 1.0 / TIMES  # a hundred tokens at a hundred a second


async def test_who_is_out_hangs_or_refuses_in_the_faults_own_words(process: Process, sender: Sender) -> None:
    await ask(sender, process, LIMITED)
    faults = []
    for index in (HANGING, BROKEN, LIMITED):
        with pytest.raises(UpstreamError) as caught:
            await ask(sender, process, index, patience=0.5)
        faults.append((caught.value.kind, caught.value.status, caught.value.retry_after))
    assert faults == [("timeout", None, None), ("unavailable", 503, None), ("rate_limited", 429, 1.0)]


async def test_a_full_endpoint_lets_calls_wait_and_a_call_that_is_cut_off_makes_room(
    process: Process, sender: Sender
) -> None:
    began = time.monotonic()
    await asyncio.gather(*(ask(sender, process, WELL, number=number) for number in range(2)))
    assert time.monotonic() - began > 2.0 / TIMES  # its only slot, twice
    with pytest.raises(UpstreamError):
        await ask(sender, process, WELL, number=2, patience=0.005)
    await ask(sender, process, WELL, number=3)
    wasted = process.end().wasted[0]
    assert set(wasted) == {2}
    assert wasted[2] == pytest.approx(100 * QUICK.prompt / 1e6)


def test_the_gateways_own_loop_comes_through_a_hanging_outage(tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    command = [sys.executable, "-m", "benchmarks.routing.wire", "--json", str(file), "--against", "uniform"]
    command += ["--scenario", "outage-hang", "--requests", "100", "--repeats", "1", "--tries", "1", "--times", "10"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert "| outage-hang | " in done.stdout
    runs = {(run["world"], run["policy"]): run for run in json.loads(file.read_text())}
    assert set(runs) == {(world, policy) for world in ("http", "simulated") for policy in ("turnpike", "uniform")}
    ours = runs["http", "turnpike"]
    assert ours["success"] >= 99
    assert ours["attempts"] > 1  # the hanging endpoint was asked, and left
    assert ours["ttft_p50"] < ours["ttft_p95"] < 30


def test_what_repeats_do_not_tell_apart_is_no_order() -> None:
    # The repeats' own shifts are no noise; what is left of c is.
    sent = {"a": [1.0, 3.1, 0.9], "b": [2.0, 4.1, 1.9], "c": [2.0, 4.3, 1.8], "d": [5.0, 7.1, 4.9]}
    said = order.agree(sent, {"a": [1.0] * 3, "b": [2.0] * 3, "c": [3.0] * 3, "d": [0.5] * 3})
    assert (said.same, said.tied) == (2, 1)
    assert said.swapped == (("a", "d"), ("b", "d"), ("c", "d"))
    assert said.tau == pytest.approx(-0.2)
    assert order.ranked(sent)[0] == "a"
    assert order.agree(sent, sent).tau == 1.0
    assert order.agree({"a": [1.0], "b": [1.1]}, {"a": [1.1], "b": [1.0]}).swapped == (("a", "b"),)
