"""make bench-hosting-scheduler: production's placement, eviction and scaling beside FIFO and least-loaded.

Every policy meets the same machines, models and requests, seed by seed. No GPU and no clock of the wall is involved.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.routing.measures import interval
from benchmarks.scheduling import machines, workload
from benchmarks.scheduling.policies import ABLATIONS, POLICIES
from benchmarks.scheduling.world import Job, World

WARM_UP = 300.0


@dataclass(frozen=True, slots=True)
class Measures:
    """One run: shares in percent, waits (from the request to the model's taking it) in seconds."""

    cold: float
    p50: float
    p99: float
    mean: float
    busy: float
    starting: float
    deployed_p99: float


HEADS = {
    "cold": "cold starts %",
    "p50": "wait p50 s",
    "p99": "wait p99 s",
    "mean": "wait mean s",
    "busy": "GPUs running %",
    "starting": "GPUs starting %",
    "deployed_p99": "deployments' wait p99 s",
}


def measure(world: World, *, gpus: int, seconds: float) -> Measures:
    """The measures over what was asked for after the warming up."""
    counted = [one for one in world.jobs if one.request.at >= WARM_UP]
    shared = [one for one in counted if not one.request.deployment]
    waits = _waits(shared)
    deployed = _waits([one for one in counted if one.request.deployment])
    whole = gpus * (seconds - WARM_UP)
    return Measures(
        cold=100 * sum(one.was_cold for one in shared) / len(shared),
        p50=waits[len(waits) // 2],
        p99=waits[int(len(waits) * 0.99)],
        mean=statistics.fmean(waits),
        busy=100 * world.busy / whole,
        starting=100 * world.starting / whole,
        deployed_p99=deployed[int(len(deployed) * 0.99)] if deployed else 0.0,
    )


def _waits(jobs: Sequence[Job]) -> list[float]:
    assert all(one.began >= one.request.at for one in jobs), "every run has begun, and none before it was asked for"
    return sorted(one.began - one.request.at for one in jobs)


def main() -> int:
    """Run, and print tables."""
    given = _arguments()
    chosen = ABLATIONS if given.ablations else POLICIES
    began = time.monotonic()
    print(
        f"{given.gpus} GPUs in hosts of 8, {given.models} models, {given.minutes} minutes of which the first 5 are not "
        f"counted, {given.seeds} seeds\n"
    )
    told: list[dict[str, object]] = []
    for load in given.load:
        runs: dict[str, list[Measures]] = {name: [] for name in chosen}
        asked = 0
        for seed in range(1, given.seeds + 1):
            rng = random.Random(seed)
            catalogue = workload.models(rng, count=given.models)
            seconds = given.minutes * 60.0
            requests = workload.requests(
                rng, catalogue, seconds=seconds, busy=given.gpus * load / 100, deployments=given.gpus // 25
            )
            asked += len(requests)
            for name, make in chosen.items():
                fleet = machines.fleet(random.Random(seed), catalogue, gpus=given.gpus)
                world = World(machines=fleet, requests=requests, policy=make(seed))
                world.run(counted=(WARM_UP, seconds))
                runs[name].append(measure(world, gpus=given.gpus, seconds=seconds))
        told += [{"load": load, "policy": name, **asdict(row)} for name, rows in runs.items() for row in rows]
        _table(f"Demand of {load} % of the GPUs ({asked // given.seeds:,} requests)", runs)
    if given.json:
        Path(given.json).write_text(json.dumps(told))
    print(f"{time.monotonic() - began:.0f} s")
    return 0


def _table(title: str, runs: dict[str, list[Measures]]) -> None:
    print(f"## {title}\n")
    print("| policy | " + " | ".join(HEADS.values()) + " |")
    print("|---" * (len(HEADS) + 1) + "|")
    for name, rows in runs.items():
        cells = [_bounded([getattr(one, field.name) for one in rows]) for field in fields(Measures)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()
    ours, others = runs["turnpike"], {name: rows for name, rows in runs.items() if name != "turnpike"}
    for name, rows in others.items():
        gaps = {
            what: [getattr(a, what) - getattr(b, what) for a, b in zip(ours, rows, strict=True)]
            for what in ("cold", "mean", "p99")
        }
        print(
            f"- turnpike − {name}, seed by seed: cold starts {_bounded(gaps['cold'])} points, "
            f"mean wait {_bounded(gaps['mean'])} s, p99 {_bounded(gaps['p99'])} s"
        )
    print()


def _bounded(numbers: Sequence[float]) -> str:
    mean, low, high = interval(numbers)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scheduling", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--gpus", type=int, default=1_000)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--load", type=int, action="append", help="percent of the GPUs that are to run (10, 30 and 60)")
    parser.add_argument("--ablations", action="store_true", help="ours without each of its parts")
    parser.add_argument("--json", help="write the measures of every run to this file")
    given = parser.parse_args()
    given.load = given.load or [10, 30, 60]
    return given


if __name__ == "__main__":
    raise SystemExit(main())
