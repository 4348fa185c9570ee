"""The requests of a run: real arrivals from the traces, or made ones."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TRACES = Path(__file__).parent / "traces"
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Request:
    """One request: arrival in seconds, tokens in and out, and the blocks of its prompt where they are known."""

    at: float
    tokens: int
    output: int
    blocks: tuple[int, ...] = ()


def sample(*, name: str, count: int, rate: float, rng: random.Random) -> list[Request]:
    """`count` requests in a row from a random place of the trace, scaled to `rate` a second on average."""
    rows = _made(name, count, rng) if name in {"poisson", "bursty"} else read(name)
    start = rng.randrange(max(1, len(rows) - count))
    window = rows[start : start + count]
    begin, span = window[0].at, max(1e-9, window[-1].at - window[0].at)
    scale = len(window) / rate / span
    return [Request((one.at - begin) * scale, one.tokens, one.output, one.blocks) for one in window]


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
    return Request(int(row["timestamp"]) / 1_000 + jitter, int(row["input_length"]), int(row["output_length"]), blocks)


def _made(name: str, count: int, rng: random.Random) -> list[Request]:
    """Arrivals at random (poisson) or in bursts (gaps of a gamma distribution with variation 3)."""
    at, rows = 0.0, []
    for _ in range(count):
        at += rng.expovariate(1.0) if name == "poisson" else rng.gammavariate(1 / 9, 9.0)
        tokens = int(min(30_000, rng.lognormvariate(6.9, 0.9)))
        rows.append(Request(at, max(10, tokens), max(1, int(min(2_000, rng.lognormvariate(4.5, 1.0))))))
    return rows
