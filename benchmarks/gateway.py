"""What the gateway adds to a chat: the same requests straight to a simulated provider, and through Turnpike.

The whole real system is started on a folder of its own (SQLite); a provider without delays answers. Figures are
medians on this machine, with both sides sharing its cores; compare the ratio, not absolutes.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

REQUESTS = 150
LEVELS = (1, 16)
MODEL = "bench/fast"
CATALOGUE = """\
providers:
  - slug: bench
    name: Bench
    dialect: openai_chat
    base_url: http://127.0.0.1:{port}/v1
    simulated: true
    credentials: {{api_key: simulated}}
    models:
      - model: bench/fast
        upstream: fast
        context_length: 8192
        max_output: 1024
        price: {{prompt: "0.10", completion: "0.40"}}
"""


@dataclass(frozen=True)
class Target:
    """Somewhere to send the same chat to."""

    name: str
    url: str
    model: str
    key: str


def main() -> int:
    """Start all, measure, print."""
    from tests.servers.system import System

    with tempfile.TemporaryDirectory(prefix="turnpike-bench-") as folder, System(Path(folder)) as system:
        port = system.spare_ports[0]
        simulate = [
            "simulate_provider",
            "--dialect",
            "openai_chat",
            "--port",
            str(port),
            "--ttft",
            "0",
            "--tps",
            "1000000",
        ]
        provider = subprocess.Popen([sys.executable, "manage.py", *simulate], env=system.environment)
        try:
            catalogue = Path(folder) / "bench.yaml"
            catalogue.write_text(CATALOGUE.format(port=port))
            system.manage("apply", str(catalogue))
            key = system.manage("issue_key", "--account", "demo", "--credit", "50").splitlines()[-1]
            targets = [
                Target("straight", f"http://127.0.0.1:{port}/v1/chat/completions", "fast", "simulated"),
                Target("Turnpike", f"{system.base_url}/api/v1/chat/completions", MODEL, key),
            ]
            asyncio.run(compare(targets))
            print(f"\nafterwards: {system.manage('check_invariants').strip()}")
        finally:
            provider.terminate()
            provider.wait()
    return 0


async def compare(targets: list[Target]) -> None:
    """The table: plain and streamed, one at a time and many."""
    await wait_for(targets[0])
    print(f"{REQUESTS} chats each; ms median (and 90th percentile), requests a second\n")
    for stream in (False, True):
        for level in LEVELS:
            medians = []
            for target in targets:
                times, took = await volley(target, level=level, stream=stream)
                median, p90 = statistics.median(times), statistics.quantiles(times, n=10)[-1]
                medians.append(median)
                what = "streamed, first byte" if stream else "plain"
                print(
                    f"{what:22}{level:>3} at once  {target.name:9}"
                    f"{median * 1000:8.1f} ({p90 * 1000:6.1f}) ms{REQUESTS / took:9.0f}/s"
                )
            print(f"{'':38}added {(medians[1] - medians[0]) * 1000:.1f} ms, {medians[1] / medians[0]:.1f} times")


async def wait_for(target: Target) -> None:
    """Until the provider listens."""
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            try:
                await client.get(target.url)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
    raise SystemExit("the simulated provider does not listen")


async def volley(target: Target, *, level: int, stream: bool) -> tuple[list[float], float]:
    """Seconds of each request (to the first byte where streamed), and of all together."""
    times: list[float] = []
    waiting = iter(range(REQUESTS))
    body = {
        "model": target.model,
        "max_tokens": 40,
        "stream": stream,
        "messages": [{"role": "user", "content": "Say something short about toll roads."}],
    }
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.key}"}, timeout=30) as client:

        async def one() -> None:
            for _ in waiting:
                started = time.perf_counter()
                async with client.stream("POST", target.url, json=body) as response:
                    if response.status_code != 200:
                        raise SystemExit(f"{target.name}: {response.status_code} {await response.aread()!r}")
                    first = None
                    async for _chunk in response.aiter_raw():
                        first = first or time.perf_counter()
                ended = time.perf_counter()
                times.append((first or ended) - started if stream else ended - started)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(level)))
        return times, time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
