"""The requests of a run: real arrivals from the traces, or made ones."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

TRACES = Path(__file__).parent / "traces"
BLOCK = 512
APPLICATIONS, TURNS = 12, 8  # of the workload that is named agents


@dataclass(frozen=True, slots=True)
class Request:
    """One request: arrival in seconds, tokens in and out, and the blocks and conversation of its prompt where known."""

    at: float
    tokens: int
    output: int
    blocks: tuple[int, ...] = ()
    conversation: int = 0


def sample(*, name: str, count: int, rate: float, rng: random.Random) -> list[Request]:
    """`count` requests in a row from a random place of the trace, scaled to `rate` a second on average."""
    made = {"poisson": _random, "bursty": _random, "agents": _agents}
    rows = made[name](name, count, rng) if name in made else read(name)
    start = rng.randrange(max(1, len(rows) - count))
    window = rows[start : start + count]
    begin, span = window[0].at, max(1e-9, window[-1].at - window[0].at)
    scale = len(window) / rate / span
    return [replace(one, at=(one.at - begin) * scale) for one in window]


def busiest(requests: list[Request], *, seconds: float = 10.0) -> float:
    """The most requests a second over any stretch of so many seconds."""
    most, first = 0, 0
    for i, one in enumerate(requests):
        while one.at - requests[first].at > seconds:
            first += 1
        most = max(most, i - first + 1)
    return most / seconds


@cache
def read(name: str) -> list[Request]:
    """A trace by name (azure, mooncake) or the path of a file in one of their forms, in order of arrival."""
    if name == "azure":
        rows = read(str(TRACES / "azure2023_conv.csv")) + read(str(TRACES / "azure2023_code.csv"))
    elif name == "mooncake":
        rows = read(str(TRACES / "mooncake_conversation.jsonl"))
    elif name.endswith(".jsonl"):
        rows = [_mooncake(json.loads(line)) for line in Path(name).read_text().splitlines()]
    else:
        with Path(name).open() as file:
            rows = [_azure(row) for row in csv.DictReader(file)]
    return sorted(rows, key=lambda one: one.at)


def _azure(row: dict[str, str]) -> Request:
    at = dt.datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=dt.UTC).timestamp()
    return Request(at, int(row["ContextTokens"]), max(1, int(row["GeneratedTokens"])))


def _mooncake(row: dict[str, Any]) -> Request:
    blocks = tuple(row["hash_ids"])
    # Its time stamps come in steps of three seconds: spread inside the step by what the request is.
    jitter = (hash(blocks) % 3_000) / 1_000
    at, tokens, output = int(row["timestamp"]) / 1_000 + jitter, int(row["input_length"]), int(row["output_length"])
    return Request(at, tokens, output, blocks, hash(blocks[:3]))  # after the block that all share, what is one's own


def _agents(_: str, count: int, rng: random.Random) -> list[Request]:
    """Agents at work: applications, with instructions and tools that all conversations of one begin with.

    Turn after turn a conversation grows by the answer and by what a tool or a person says to it.
    """
    heads = [rng.randint(3, 24) for _ in range(APPLICATIONS)]
    serial = itertools.count(1)
    shared = [tuple(next(serial) for _ in range(length)) for length in heads]
    rows: list[Request] = []
    begun = 0.0
    while len(rows) < 3 * count:
        begun += rng.expovariate(1.0)
        blocks = shared[min(int(rng.expovariate(0.4)), APPLICATIONS - 1)]
        at, tokens, conversation = begun, len(blocks) * BLOCK, next(serial)
        while True:
            tokens += max(20, int(min(8_000, rng.lognormvariate(5.7, 1.0))))
            output = max(1, int(min(2_000, rng.lognormvariate(4.8, 0.9))))
            blocks += tuple(next(serial) for _ in range(tokens // BLOCK - len(blocks)))
            rows.append(Request(at, tokens, output, blocks, conversation))
            if rng.random() < 1 / TURNS or tokens > 60_000:
                break
            at += output / 50 + min(120.0, rng.lognormvariate(1.6, 1.0))
            tokens += output
    # Not from the begin, when all conversations are young, nor to the end, when no new ones come.
    return sorted((one for one in rows if one.at <= begun), key=lambda one: one.at)[-count:]


def _random(name: str, count: int, rng: random.Random) -> list[Request]:
    """Arrivals at random (poisson) or in bursts (gaps of a gamma distribution with variation 3)."""
    at, rows = 0.0, []
    for _ in range(count):
        at += rng.expovariate(1.0) if name == "poisson" else rng.gammavariate(1 / 9, 9.0)
        tokens = int(min(30_000, rng.lognormvariate(6.9, 0.9)))
        rows.append(Request(at, max(10, tokens), max(1, int(min(2_000, rng.lognormvariate(4.5, 1.0))))))
    return rows
