"""What a run is judged by, and how sure that is: bootstrap intervals over paired seeds."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.routing.scenarios import FAST, HANG, Scenario
from benchmarks.routing.world import WHOLE, Job, Seen

# The objective, in nano-dollars: a second of waiting, a late first token, a second of the answer's coming.
WAIT, LATE, GENERATION = 200_000.0, 5_000_000.0, 20_000.0
SLO_SECONDS = 3.0
RESAMPLES = 2_000
QUIET = 2.0


@dataclass(frozen=True, slots=True)
class Measures:
    """One run. Shares in percent, times in seconds, money in dollars per 1,000 requests."""

    success: float
    slo: float
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    dollars: float
    wasted: float
    attempts: float
    objective: float
    detect: float | None
    recover: float | None
    after_deadline: float | None
    cached: float


def measure(jobs: Sequence[Job], world: Seen, scenario: Scenario) -> Measures:
    """The measures of a finished run."""
    times = sorted(WHOLE if job.ttft is None else job.ttft for job in jobs)
    count = len(jobs)
    detect, recover, after = _faults(world, scenario)
    return Measures(
        success=100 * sum(job.ttft is not None for job in jobs) / count,
        slo=100 * sum(job.ttft is not None and job.ttft <= SLO_SECONDS for job in jobs) / count,
        ttft_p50=times[count // 2],
        ttft_p95=times[int(count * 0.95)],
        ttft_p99=times[int(count * 0.99)],
        dollars=1000 * sum(job.dollars for job in jobs) / count,
        wasted=1000 * sum(job.wasted for job in jobs) / count,
        attempts=sum(len([i for i in job.tried if i >= 0]) for job in jobs) / count,
        objective=sum(objective(job) for job in jobs) / count,
        detect=detect,
        recover=recover,
        after_deadline=after,
        cached=100 * sum(job.cached for job in jobs) / sum(job.request.tokens for job in jobs),
    )


def objective(job: Job) -> float:
    """What the request really cost, in nano-dollars: money, waiting, lateness; a failed one waits thirty seconds."""
    ttft = WHOLE if job.ttft is None else job.ttft
    late = LATE if ttft > SLO_SECONDS else 0.0
    coming = job.seconds if job.ttft is not None else 0.0
    return job.dollars * 1e9 + WAIT * ttft + late + GENERATION * coming


def _faults(world: Seen, scenario: Scenario) -> tuple[float | None, float | None, float | None]:
    """(seconds until an outage is left, seconds after its end until it is used again, calls after the first cut)."""
    detects, recovers, afters = [], [], []
    for fault in scenario.faults:
        if fault.kind not in {FAST, HANG} or fault.end - fault.begin < 10:
            continue
        before = [at for at, index in world.answers if index == fault.index and fault.begin - 15 < at < fault.begin]
        if len(before) < 20:
            continue  # it was hardly used
        sent = [at for at, index in world.sent if index == fault.index and fault.begin <= at < fault.end]
        left = fault.begin
        for at in sent:
            if at - left > QUIET:
                break
            left = at
        detects.append(left - fault.begin)
        later = [at for at, index in world.answers if index == fault.index and at >= fault.end]
        if later:
            recovers.append(later[0] - fault.end)
        if fault.kind == HANG and sent:
            cut = min(
                (at for at, index, began in world.cuts if index == fault.index and began >= fault.begin),
                default=fault.end,
            )
            afters.append(sum(cut < at <= cut + QUIET for at in sent))
    return _mean(detects), _mean(recovers), float(max(afters)) if afters else None


def _mean(numbers: Sequence[float]) -> float | None:
    return statistics.fmean(numbers) if numbers else None


def interval(numbers: Sequence[float], *, seed: int = 1) -> tuple[float, float, float]:
    """(mean, lower and upper bound of its 95 % interval), by the bootstrap."""
    rng = random.Random(seed)
    count = len(numbers)
    if count == 1:
        return numbers[0], numbers[0], numbers[0]
    means = sorted(statistics.fmean(rng.choices(numbers, k=count)) for _ in range(RESAMPLES))
    return statistics.fmean(numbers), means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
