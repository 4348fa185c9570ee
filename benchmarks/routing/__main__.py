"""make bench-routing: the router against the baselines, in every scenario, over many seeds.

Training uses seeds counted from 1. `--hold-out` derives seeds (and with them fleets and workloads) from the hash
of the commit, so that nobody could tune to them; it is to be run once per commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.routing import fleet, scenarios, speed, workload
from benchmarks.routing.baselines import BASELINES, Baseline, LateOracle, Oracle
from benchmarks.routing.caching import CACHING
from benchmarks.routing.measures import Measures, interval, measure
from benchmarks.routing.ours import Ours
from benchmarks.routing.world import World
from routing.selection.cost import BALANCED, Weights
from routing.selection.router import Policy

RATE = 15.0
PLAIN = {"azure", "poisson", "bursty"}  # traces that do not say how prompts begin
COLUMNS = (
    "policy", "success %", "SLO %", "TTFT p50 / p95 / p99 s", "$ per 1,000", "wasted $", "attempts", "regret %",
    "detect s", "recover s",
)  # fmt: skip
GOALS = (
    "scenario", "success − best baseline, points", "SLO − best baseline, points", "$ / cheapest at 99 % SLO",
    "regret %", "calls after the first cut",
)  # fmt: skip
ABLATIONS: dict[str, Policy | Weights] = {
    "no price": replace(BALANCED, price=0),
    "no waiting": replace(BALANCED, wait=0),
    "no lateness": replace(BALANCED, late=0),
    "no generation time": replace(BALANCED, generation=0),
    "no failure odds": Policy(weighs_failures=False),
    "no queues": Policy(weighs_queues=False),
    "no exploration": Policy(explores=False),
    "no breaker": Policy(breaks=False),
    "no rate caps": Policy(caps_rates=False),
    "no cut-off": Policy(cuts_off=False),
    "no stickiness": Policy(sticks=False),
}
Make = Callable[[int], Ours | Baseline]
Runs = dict[tuple[str, str], list[Measures]]


def main() -> int:
    """Run, and print tables."""
    arguments = _arguments()
    print(f"{arguments.seeds} seeds, {arguments.requests} requests each, trace {arguments.trace}\n")
    policies: dict[str, Make] = {"turnpike": lambda seed: Ours(seed=seed)}
    policies |= {name: _maker(kind) for name, kind in BASELINES.items()}
    if arguments.trace not in PLAIN:
        policies |= {name: _maker(kind) for name, kind in CACHING.items()}
    policies["late-oracle"] = lambda seed: LateOracle(seed=seed)
    policies["oracle"] = lambda seed: Oracle(seed=seed)
    if arguments.ablations:
        policies = {"turnpike": policies["turnpike"]}
        policies |= {name: _without(off) for name, off in ABLATIONS.items()}
        policies["oracle"] = lambda seed: Oracle(seed=seed)
    if arguments.only:
        policies = {name: make for name, make in policies.items() if name in {*arguments.only, "turnpike", "oracle"}}
    started = time.monotonic()
    names = arguments.scenario or list(scenarios.NAMES)
    runs = collect(policies, names, arguments)
    for name in names:
        _table(name, policies, runs)
    if arguments.ablations:
        _worth(names, runs)
    else:
        _goals(policies, names, runs)
    if arguments.json:
        _dump(arguments.json, runs)
    if not arguments.no_speed:
        print("\n" + speed.report())
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


def _maker(kind: type[Baseline]) -> Make:
    return lambda seed: kind(seed=seed)


def _without(off: Policy | Weights) -> Make:
    if isinstance(off, Policy):
        return lambda seed: Ours(seed=seed, policy=off)
    return lambda seed: Ours(seed=seed, weights=off)


def collect(policies: dict[str, Make], names: list[str], arguments: argparse.Namespace) -> Runs:
    """(scenario, policy) -> the measures, seed by seed: every policy meets the same fleets, requests and luck."""
    runs: Runs = {}
    for seed in _seeds(arguments):
        rng = random.Random(seed)
        requests = workload.sample(name=arguments.trace, count=arguments.requests, rate=RATE, rng=rng)
        tokens = statistics.fmean(one.tokens for one in requests)
        output = statistics.fmean(one.output for one in requests)
        truths = (
            fleet.load(arguments.fleet)
            if arguments.fleet
            else fleet.draw(rng, rate=workload.busiest(requests), tokens=tokens, output=output)
        )
        for name in names:
            scenario = scenarios.make(name, truths, seconds=requests[-1].at, rng=random.Random(f"{seed}:{name}"))
            for label, make in policies.items():
                policy = make(seed)
                world = World(fleet=truths, scenario=scenario, requests=requests, policy=policy, seed=seed)
                policy.world = world
                runs.setdefault((name, label), []).append(measure(world.run(), world, scenario))
    return runs


def _seeds(arguments: argparse.Namespace) -> list[int]:
    if not arguments.hold_out:
        return list(range(1 + arguments.first, 1 + arguments.first + arguments.seeds))
    commit = (
        arguments.commit
        or subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    )
    print(f"hold-out of commit {commit}\n")
    return [
        int.from_bytes(hashlib.blake2b(f"{commit}:{i}".encode(), digest_size=6).digest(), "big")
        for i in range(arguments.seeds)
    ]


def _table(name: str, policies: dict[str, Make], runs: Runs) -> None:
    print(f"## {name}\n")
    best = runs[name, "oracle"]
    has_cache = any(one.cached for one in best)
    columns = [*COLUMNS, *(["of prompts cached %"] if has_cache else [])]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for label in policies:
        rows = runs[name, label]
        regret = [100 * (one.objective / ideal.objective - 1) for one, ideal in zip(rows, best, strict=True)]
        detect = [one.detect for one in rows if one.detect is not None]
        recover = [one.recover for one in rows if one.recover is not None]
        mean = statistics.fmean
        print(
            f"| {label} | {_with_bounds([one.success for one in rows])} | {_with_bounds([one.slo for one in rows])} "
            f"| {mean(r.ttft_p50 for r in rows):.2f} / {mean(r.ttft_p95 for r in rows):.2f} / "
            f"{mean(r.ttft_p99 for r in rows):.2f} | {mean(r.dollars for r in rows):.4f} "
            f"| {mean(r.wasted for r in rows):.4f} | {mean(r.attempts for r in rows):.3f} | {_with_bounds(regret, 1)} "
            f"| {f'{mean(detect):.1f}' if detect else '–'} | {f'{mean(recover):.1f}' if recover else '–'} |"
            + (f" {mean(r.cached for r in rows):.1f} |" if has_cache else "")
        )
    print()


def _goals(policies: dict[str, Make], names: list[str], runs: Runs) -> None:
    """The goals of issue 5, each with its number: met or missed."""
    print("## Goals\n")
    print("| " + " | ".join(GOALS) + " |")
    print("|---" * len(GOALS) + "|")
    others = [label for label in policies if label in BASELINES or label in CACHING]
    for name in names:
        ours = runs[name, "turnpike"]
        cells = []
        for what in ("success", "slo"):
            if not others:
                cells.append("–")
                continue
            best = max(others, key=lambda label: statistics.fmean(getattr(r, what) for r in runs[name, label]))
            gaps = [getattr(a, what) - getattr(b, what) for a, b in zip(ours, runs[name, best], strict=True)]
            mean, low, high = interval(gaps)
            cells.append(f"{_verdict(low >= -0.1)} {mean:+.2f} [{low:+.2f}, {high:+.2f}] ({best})")
        able = [label for label in others if statistics.fmean(r.slo for r in runs[name, label]) >= 99]
        if able:
            cheapest = min(able, key=lambda label: statistics.fmean(r.dollars for r in runs[name, label]))
            ratio = sum(r.dollars for r in ours) / sum(r.dollars for r in runs[name, cheapest])
            cells.append(f"{_verdict(ratio <= 1.05)} {ratio:.3f} ({cheapest})")
        else:
            cells.append("– (none reaches 99 %)")
        regret = [100 * (a.objective / b.objective - 1) for a, b in zip(ours, runs[name, "oracle"], strict=True)]
        mean, low, high = interval(regret)
        cells.append(f"{_verdict(mean <= (20 if name == 'mixed' else 10))} {mean:.1f} [{low:.1f}, {high:.1f}]")
        after = [one.after_deadline for one in ours if one.after_deadline is not None]
        cells.append(f"{_verdict(max(after) <= 2)} {max(after):.0f}" if after else "–")
        print(f"| {name} | " + " | ".join(cells) + " |")


def _worth(names: list[str], runs: Runs) -> None:
    """What each term and part is worth: how much worse we are without it, paired over the seeds."""
    measures: tuple[tuple[str, Callable[[Measures, Measures], float]], ...] = (
        ("Regret without it − with it, points", lambda one, ideal: 100 * (one.objective / ideal.objective - 1)),
        ("SLO attainment without it − with it, points", lambda one, _: one.slo),
    )
    for title, of in measures:
        print(f"\n## {title}\n")
        print("| without | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 1) + "|")
        for label in (one for one in ABLATIONS if (names[0], one) in runs):
            cells = []
            for name in names:
                rows = zip(runs[name, label], runs[name, "turnpike"], runs[name, "oracle"], strict=True)
                mean, low, high = interval([of(one, ideal) - of(ours, ideal) for one, ours, ideal in rows])
                cells.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
            print(f"| {label.removeprefix('no ')} | " + " | ".join(cells) + " |")


def _verdict(held: bool) -> str:
    return "met" if held else "**missed**"


def _with_bounds(numbers: list[float], digits: int = 2) -> str:
    mean, low, high = interval(numbers)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _dump(path: str, runs: Runs) -> None:
    rows = [
        {"scenario": name, "policy": label, "run": i, **{key: getattr(one, key) for key in one.__slots__}}
        for (name, label), found in runs.items()
        for i, one in enumerate(found)
    ]
    with open(path, "w") as file:
        json.dump(rows, file)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.routing", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="training: leave out so many seeds")
    parser.add_argument("--requests", type=int, default=2_500)
    parser.add_argument("--trace", default="azure", help="azure, mooncake, agents, poisson, bursty, or a file")
    parser.add_argument("--fleet", help="a JSON file with endpoints instead of random fleets")
    parser.add_argument("--scenario", action="append", choices=scenarios.NAMES)
    parser.add_argument(
        "--only", action="append", help="this baseline or ablation (again for more); ours and the oracle always run"
    )
    parser.add_argument("--ablations", action="store_true", help="our router without each term and part")
    parser.add_argument("--hold-out", action="store_true", help="seeds from the commit's hash")
    parser.add_argument("--commit", help="the commit whose hash it is (default: the one checked out)")
    parser.add_argument("--json", help="write every run's measures to this file")
    parser.add_argument("--no-speed", action="store_true", help="do not time a choice")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
