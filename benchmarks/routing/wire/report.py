"""What the runs showed, as Markdown."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.routing.measures import Measures
from benchmarks.routing.wire import order
from benchmarks.routing.wire.runs import Found, Plan

COLUMNS = (
    "policy", "success %", "SLO %", "TTFT p50 / p95 s", "$ per 1,000", "objective, $ per 1,000", "simulated: success %",
    "SLO %", "TTFT p50 / p95 s", "$ per 1,000", "objective",
)  # fmt: skip
ORDERS = ("scenario", "order over HTTP", "order simulated", "pairs alike", "swapped", "tied", "tau", "tau of the means")


def written(plan: Plan, found: Found, *, seconds: float) -> str:
    """The whole report, of those scenarios that were run."""
    plan = replace(plan, scenarios=tuple(name for name in plan.scenarios if (name, plan.policies[0]) in found.sent))
    head = (
        f"{plan.requests} requests at {plan.rate:g} a second on average, trace {plan.trace}, seed {plan.seed}, "
        f"{plan.repeats} repeats at most, clocks {plan.times:g} times as fast, headers "
        f"{'when a request is taken' if plan.early else 'with the first token'}; {os.cpu_count()} cores, "
        f"{seconds:.0f} s in all.\n\n"
        f"Late by so many seconds of the run, p50 / p95 / p99: requests {_spread(found.client_lags)}, servers "
        f"{_spread(found.server_lags)}. Runs made again since the machine had no time for them: {found.again}; kept "
        f"though late: {', '.join(f'{name} ({repeat + 1})' for name, repeat in found.late) or 'none'}."
    )
    tables = [_table(plan, found, name) for name in plan.scenarios]
    return "\n\n".join([head, _orders(plan, found), *tables])


def rows(found: Found) -> list[dict[str, Any]]:
    """Every run's measures."""
    return [
        {"world": world, "scenario": name, "policy": policy, "repeat": i, **asdict(one)}
        for world, runs in (("http", found.sent), ("simulated", found.simulated))
        for (name, policy), measures in runs.items()
        for i, one in enumerate(measures)
    ]


def _orders(plan: Plan, found: Found) -> str:
    lines = [_line(ORDERS), "|---" * len(ORDERS) + "|"]
    same = swapped = tied = 0
    for name in plan.scenarios:
        sent, simulated = (_world(plan, runs, name) for runs in (found.sent, found.simulated))
        said = order.agree(sent, simulated)
        same, swapped, tied = same + said.same, swapped + len(said.swapped), tied + said.tied
        pairs = ", ".join(f"{a} / {b}" for a, b in said.swapped) or "–"
        tau = "–" if said.tau is None else f"{said.tau:.2f}"
        lines.append(
            _line((
                name, ", ".join(order.ranked(sent)), ", ".join(order.ranked(simulated)), said.same, pairs, said.tied,
                tau, f"{said.tau_of_means:.2f}",
            ))
        )  # fmt: skip
    decided = same + swapped
    share = f"{100 * same / decided:.0f} %" if decided else "–"
    lines.append(
        f"\nOf {decided} pairs that repeats tell apart in both worlds, {same} are alike ({share}); {tied} tied."
    )
    return "\n".join(lines)


def _table(plan: Plan, found: Found, name: str) -> str:
    lines = [f"### {name}\n", _line(COLUMNS), "|---" * len(COLUMNS) + "|"]
    for policy in order.ranked(_world(plan, found.sent, name)):
        sent, simulated = found.sent[name, policy], found.simulated[name, policy]
        lines.append(_line((policy, *_cells(sent), *_cells(simulated))))
    return "\n".join(lines)


def _cells(runs: Sequence[Measures]) -> tuple[str, ...]:
    mean = statistics.fmean
    objectives = [_dollars(one) for one in runs]
    spread = f" ± {statistics.stdev(objectives):.3f}" if len(runs) > 1 else ""
    return (
        f"{mean(one.success for one in runs):.2f}", f"{mean(one.slo for one in runs):.2f}",
        f"{mean(one.ttft_p50 for one in runs):.2f} / {mean(one.ttft_p95 for one in runs):.2f}",
        f"{mean(one.dollars for one in runs):.4f}", f"{mean(objectives):.3f}{spread}",
    )  # fmt: skip


def _world(plan: Plan, runs: dict[tuple[str, str], list[Measures]], name: str) -> dict[str, list[float]]:
    return {policy: [_dollars(one) for one in runs[name, policy]] for policy in plan.policies}


def _dollars(one: Measures) -> float:
    """The objective in dollars per 1,000 requests."""
    return one.objective / 1e6


def _spread(lags: Sequence[float]) -> str:
    ordered = sorted(lags)
    return " / ".join(f"{ordered[int(len(ordered) * share)]:.3f}" for share in (0.5, 0.95, 0.99))


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
