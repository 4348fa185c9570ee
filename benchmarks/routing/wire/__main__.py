"""make bench-routing-http: the benchmark's scenarios over real HTTP, and whether they order the policies as simulated.

Six simulated providers in a process of their own; the gateway's loop and the production sender in this one; all
policies side by side, each against endpoints of its own. The same fleet, requests, faults and luck also go through
the discrete-event simulation. Time is compressed: the clocks of both processes run `--times` as fast.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path

from benchmarks.routing import scenarios
from benchmarks.routing.wire import clock

AGAINST = ("weighted", "least-busy", "latency-of-10", "inverse-square", "p2c-peak-ewma")


def main() -> int:
    """Run, and print the report."""
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has started it in the background
    clock.hurry(arguments.times)
    # Only now: what these import keeps the clock that it finds. And the servers' process, which imports this module,
    # needs none of it.
    import django
    import structlog

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    from benchmarks.routing.wire import report, runs

    began = clock.REAL()
    plan = runs.Plan(
        seed=arguments.seed, requests=arguments.requests, rate=arguments.rate, trace=arguments.trace,
        repeats=arguments.repeats, tries=arguments.tries, times=arguments.times,
        scenarios=tuple(arguments.scenario or scenarios.NAMES),
        policies=(runs.OURS, *(arguments.against or AGAINST)), early=not arguments.late_headers,
    )  # fmt: skip
    found = runs.collect(plan)
    print(report.written(plan, found, seconds=clock.REAL() - began))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report.rows(found)))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.routing.wire", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of each scenario: other luck, the same all else")
    parser.add_argument("--tries", type=int, default=3, help="of a repeat that the machine has no time for")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rate", type=float, default=8.0, help="requests a second of the run, on average")
    parser.add_argument("--times", type=float, default=5.0, help="how much faster the clocks run")
    parser.add_argument("--seed", type=int, default=1, help="of fleet, requests and faults")
    parser.add_argument("--trace", default="azure", help="azure, mooncake, poisson, bursty, or a file in their forms")
    parser.add_argument("--scenario", action="append", choices=scenarios.NAMES)
    parser.add_argument("--against", action="append", help=f"this baseline (again for more) instead of {AGAINST}")
    parser.add_argument("--late-headers", action="store_true", help="headers come with the first token, not before")
    parser.add_argument("--json", help="write every run's measures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
