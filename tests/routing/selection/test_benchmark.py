"""`make bench-routing` runs: every policy comes through every scenario, with figures that can be true."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

POLICIES = 13  # ours, ten baselines and two oracles
ABLATIONS = 8  # ours, without each of six parts, and the oracle
SCENARIOS = 10


def bench(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    """The measures of a small run of the command."""
    file = tmp_path / "runs.json"
    command = [sys.executable, "-m", "benchmarks.routing", "--seeds", "1", "--requests", "60", "--no-speed"]
    subprocess.run([*command, "--json", str(file), *arguments], check=True, capture_output=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize(("arguments", "policies"), [((), POLICIES), (("--ablations",), ABLATIONS)])
def test_every_policy_comes_through_every_scenario(tmp_path: Path, arguments: tuple[str, ...], policies: int) -> None:
    runs = bench(tmp_path, *arguments)
    assert len({(run["scenario"], run["policy"]) for run in runs}) == len(runs) == SCENARIOS * policies
    for run in runs:
        assert 0 < run["success"] <= 100
        assert run["slo"] <= run["success"]
        assert run["dollars"] > run["wasted"] >= 0
        assert run["attempts"] >= 1


def test_equal_seeds_run_alike(tmp_path: Path) -> None:
    arguments = ("--scenario", "mixed", "--only", "p2c")
    first = bench(tmp_path, *arguments)
    assert bench(tmp_path, *arguments) == first
    assert bench(tmp_path, *arguments, "--first", "1") != first
