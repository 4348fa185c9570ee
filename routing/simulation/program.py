"""A simulated provider as a program: its flags, and serving until it is stopped.

`manage.py simulate_provider` is this, and so is `python -m routing.simulation`, which starts in a fifth of the time
because it needs no Django.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from routing.simulation.app import Pace, Simulator
from routing.simulation.dialects import DIALECTS
from routing.simulation.faults import KINDS, Rates
from routing.simulation.server import listen, server_of

HELP = (
    "Serve a simulated provider of one dialect. Faults by chance: --error-rate and the like; in a fixed order: "
    "POST /_faults "
    '{"script": ["500", "429:2", "hang", "cut:5", "ok"], "always": false}; words: ' + ", ".join(KINDS) + "."
)


def add_flags(parser: ArgumentParser) -> None:
    """What it takes on the command line."""
    parser.add_argument("--dialect", choices=list(DIALECTS), default="openai_chat")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; keep it private")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="simulated", help="what it calls itself in its answers")
    parser.add_argument("--ttft", type=float, default=0.2, help="seconds to the first token")
    parser.add_argument("--tps", type=float, default=80.0, help="tokens a second; 0: all at once")
    parser.add_argument("--tokens", type=int, default=40, help="tokens of an answer, unless the request caps it")
    parser.add_argument("--error-rate", type=float, default=0.0, help="share of requests answered with a 500")
    parser.add_argument("--rate-limit-rate", type=float, default=0.0, help="… with a 429 and Retry-After")
    parser.add_argument(
        "--per-minute", type=int, default=0, help="requests that it takes; its answers tell of it; 0: no limit"
    )
    parser.add_argument(
        "--cache-from",
        type=int,
        default=0,
        help="tokens from which on it caches prompts (openai_chat)",
    )
    parser.add_argument("--hang-rate", type=float, default=0.0, help="… never")
    parser.add_argument("--cut-rate", type=float, default=0.0, help="… with a connection cut in the middle")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same faults")
    parser.add_argument("--api-key", default="", help="refuse requests without this key; empty: ask for none")


def serve(options: Mapping[str, Any], *, say: Callable[[str], object]) -> None:
    """Serve until told to stop; `options` by the names of `add_flags`."""
    simulator = Simulator(
        name=options["name"],
        pace=Pace(ttft=options["ttft"], tps=options["tps"], tokens=options["tokens"]),
        rates=Rates(
            error=options["error_rate"],
            rate_limit=options["rate_limit_rate"],
            hang=options["hang_rate"],
            cut=options["cut_rate"],
        ),
        seed=options["seed"],
        api_key=options["api_key"],
        dialect=options["dialect"],
        per_minute=options["per_minute"],
        cache_from=options["cache_from"],
    )
    bound = listen(options["port"], host=options["host"])
    say(f"{options['name']} (simulated) listens on {options['host']}:{bound.getsockname()[1]}")
    server_of(simulator.application).run(sockets=[bound])
