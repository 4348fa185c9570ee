"""What hosting adds to a run: the same predictions at Cog's own HTTP server, and through Turnpike's public API.

The whole real system is started on a folder of its own (SQLite, process runtime). The demo's detect-shapes is the
model; Cog's server is started from the same build, as the creator would start it, without sandbox, queue, books or
database. Both are asked in turn, one request at a time, so that whatever else this machine does meets both.

Then the way of a newcomer: an upload is published and run for the first time, once with its requirements installed
before, once with an empty folder of environments.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples" / "detect-shapes" / "sample.png"
GOAL_ADDED_MS = 25.0
GOAL_FIRST_SECONDS = 60.0
WARM = 10
PAUSE = 0.02  # between requests: Cog's server frees its slot a little after its answer
RECORD = """
from marketplace.models import Version
result = Version.objects.filter(model__slug="detect-shapes").latest("created_at").build_path
"""


def main() -> int:
    """Start all, measure, print; 1 when a goal is missed."""
    from tests.servers.system import System

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="predictions on each side (100)")
    runs = parser.parse_args().runs
    with (
        tempfile.TemporaryDirectory(prefix="turnpike-bench-") as folder,
        System(Path(folder), environment={"TURNPIKE_RUNTIME": "process"}) as system,
    ):
        key = system.manage("issue_key", "--account", "demo", "--credit", "50").splitlines()[-1]
        build = system.var / "builds" / str(system.query(RECORD))
        print(f"load before: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores\n")
        with client(system.base_url, key) as ours:
            with cogs_own_server(build, port=system.spare_ports[0]) as cog, spent(system, WARM + runs):
                added = compare(cog=cog, ours=ours, runs=runs)
            print()
            warm = first_result(system, ours, slug="bench-warm", what="requirements installed before")
            first_result(system, ours, slug="bench-cold", what="wheels from the index", empty=True)
        print(f"\nafterwards: {system.manage('check_invariants').strip()}")
    met = added <= GOAL_ADDED_MS and warm <= GOAL_FIRST_SECONDS
    goals = f"at most {GOAL_ADDED_MS:.0f} ms added, {GOAL_FIRST_SECONDS:.0f} s to the first result"
    print(f"goals ({goals}): {'met' if met else 'MISSED'}")
    return 0 if met else 1


def client(base_url: str, key: str) -> httpx.Client:
    """A caller of the public API."""
    return httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}", "Prefer": "wait"}, timeout=90)


@contextmanager
def cogs_own_server(build: Path, *, port: int) -> Iterator[httpx.Client]:
    """Cog's HTTP server on the build's own sources and environment, ready."""
    record = json.loads((build / "build.json").read_text())
    environment = {
        "PATH": f"{record['environment']}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108  as a container would have it
        "PORT": str(port),
        "COG_PREDICT_TYPE_STUB": record["reference"],
        "COG_LOG_LEVEL": "warning",
    }
    command = [f"{record['environment']}/bin/python", "-m", "cog.server.http", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        command,
        cwd=build / "src",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as asked:
            until(lambda: ready(asked), seconds=60, what="Cog's server")
            yield asked
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ready(asked: httpx.Client) -> bool:
    """Whether Cog's server takes predictions."""
    try:
        return bool(asked.get("/health-check").json()["status"] == "READY")
    except httpx.TransportError:
        return False


def until(done: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait; ends the benchmark when it takes too long."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} was not there after {seconds:.0f} s")
        time.sleep(0.05)


def compare(*, cog: httpx.Client, ours: httpx.Client, runs: int) -> float:
    """The table; milliseconds added at the median."""
    sides: list[tuple[str, Callable[[], Any]]] = [
        ("Cog's own server", lambda: timed(cog, "/predictions", body())),
        ("Turnpike, Prefer: wait", lambda: timed(ours, "/v1/models/demo/detect-shapes/predictions", body())),
    ]
    times: dict[str, list[float]] = {name: [] for name, _ in sides}
    for number in range(WARM + runs):
        for name, ask in sides:
            took = ask()
            if number >= WARM:
                times[name].append(took * 1000)
            time.sleep(PAUSE)
    print(f"detect-shapes, warm, {runs} predictions each in turn; ms median (10th to 90th percentile)")
    medians = []
    for name, found in times.items():
        tenths = statistics.quantiles(found, n=10)
        medians.append(statistics.median(found))
        print(f"  {name:26}{medians[-1]:8.1f} ({tenths[0]:6.1f} to {tenths[-1]:6.1f})")
    added = medians[1] - medians[0]
    print(f"  {'added':26}{added:8.1f}")
    return added


@contextmanager
def spent(system: Any, runs: int) -> Iterator[None]:
    """Prints the processor time that web and worker took for each run, which says more on a busy machine.

    What they take while nobody asks, the looks and beats of every second, is measured for as long and taken off.
    """
    processes = {name: psutil.Process(system.pid(name)) for name in ("web", "worker")}

    def now() -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in processes.items()}
        return {name: one.user + one.system for name, one in times.items()}

    began, first = time.monotonic(), now()
    yield
    then = now()
    time.sleep(time.monotonic() - began)
    last = now()
    for name in processes:
        milliseconds = (2 * then[name] - first[name] - last[name]) / runs * 1000
        print(f"  {f'processor time of {name}':26}{milliseconds:8.1f}")


def timed(asked: httpx.Client, path: str, given: dict[str, Any]) -> float:
    """Seconds of one prediction that succeeded."""
    started = time.perf_counter()
    answer = asked.post(path, json=given)
    took = time.perf_counter() - started
    if answer.status_code not in (200, 201) or answer.json()["status"] != "succeeded":
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:500]}")
    return took


def first_result(system: Any, asked: httpx.Client, *, slug: str, what: str, empty: bool = False) -> float:
    """Seconds from the upload of a changed detect-shapes to the answer of its first prediction, all over the API."""
    if empty:
        shutil.rmtree(system.var / "envs")
    archive = changed_example()
    started = time.monotonic()
    upload = asked.post("/v1/uploads", json={"name": "model.zip", "size": len(archive)}).raise_for_status().json()
    part = {"Upload-Offset": "0", "Content-Digest": f"sha-256=:{base64.b64encode(sha256(archive).digest()).decode()}:"}
    asked.put(f"/v1/uploads/{upload['id']}", content=archive, headers=part).raise_for_status()
    asked.post(f"/v1/uploads/{upload['id']}/complete", json={}).raise_for_status()
    build = asked.post(f"/v1/models/demo/{slug}/builds", json={"upload": upload["id"]}).raise_for_status().json()

    def built() -> bool:
        row = asked.get(f"/v1/builds/{build['id']}").raise_for_status().json()
        if row["status"] in ("failed", "canceled"):
            raise SystemExit(f"the build of {slug} {row['status']}: {row}")
        return bool(row["status"] == "succeeded")

    until(built, seconds=900, what=f"the build of {slug}")
    ready_after = time.monotonic() - started
    timed(asked, f"/v1/models/demo/{slug}/predictions", body())
    took = time.monotonic() - started
    print(f"publish to first result, {what}: {took:.1f} s, of which until built {ready_after:.1f} s")
    return took


def changed_example() -> bytes:
    """detect-shapes as an archive that was never built before."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((ROOT / "examples" / "detect-shapes").iterdir()):
            archive.writestr(path.name, path.read_bytes())
        archive.writestr("note.txt", f"{time.time_ns()}")
    return content.getvalue()


def body() -> dict[str, Any]:
    """A prediction on the example's own picture."""
    return {"input": {"image": f"data:image/png;base64,{base64.b64encode(SAMPLE.read_bytes()).decode()}"}}


if __name__ == "__main__":
    raise SystemExit(main())
