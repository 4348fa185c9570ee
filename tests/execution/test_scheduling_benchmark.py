"""`make bench-hosting-scheduler` runs: every policy serves every request, and ours starts fewer models."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = ("--gpus", "32", "--models", "200", "--minutes", "7", "--seeds", "1", "--load", "90")


def bench(file: Path) -> dict[str, dict[str, Any]]:
    """The measures of a small run of the command, by policy."""
    command = [sys.executable, "-m", "benchmarks.scheduling", *SMALL, "--json", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return {row["policy"]: row for row in json.loads(file.read_text())}


def test_every_policy_serves_everything_and_ours_starts_the_fewest_models(tmp_path: Path) -> None:
    found = bench(tmp_path / "first.json")  # it asserts itself that every run has begun
    assert set(found) == {"turnpike", "fifo", "least-loaded", "warm-first"}
    for row in found.values():
        assert 0 < row["cold"] < 100
        assert 0 <= row["p50"] <= row["p99"]
        assert 0 < row["busy"] < 100
    assert found["turnpike"]["cold"] < min(row["cold"] for name, row in found.items() if name != "turnpike")
    assert bench(tmp_path / "second.json") == found  # equal seeds run alike
