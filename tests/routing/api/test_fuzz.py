"""Requests made from our own OpenAPI document, sound and unsound, at a running server: none may end in a 5xx.

The suite sends FUZZ_CASES of them, always the same; `make soak` sends 20,000 new ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories.routing import Buyer, buyer, endpoint

WANTED = int(os.environ.get("FUZZ_CASES", "500"))
IS_SOAK = WANTED > 1_000
# Of each operation in one round; the program needs fewer where there is little to vary.
EACH = 40 if IS_SOAK else 8
PROGRAM = Path(sys.executable).with_name("schemathesis")


@pytest.mark.timeout(max(240, WANTED // 5))
def test_no_request_ends_in_a_5xx(gateway: str, money: None, tmp_path: Path) -> None:
    endpoint("http://127.0.0.1:9/v1")
    who = buyer(dollars="100", scopes=["inference", "management"])
    sent = 0
    for seed in range(1, 200):
        sent += _round(gateway, who, seed, tmp_path)
        if sent >= WANTED:
            break
    assert sent >= WANTED
    if IS_SOAK:
        sys.stdout.write(f"\n{sent} requests, no 5xx\n")


def _round(gateway: str, who: Buyer, seed: int, folder: Path) -> int:
    """Send one round; how many requests that were."""
    chance = [] if IS_SOAK else ["--seed", str(seed), "--generation-deterministic"]
    command = [
        str(PROGRAM), "run", f"{gateway}/api/openapi.json", "-H", f"Authorization: Bearer {who.key}",
        "--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", str(EACH),
        "--warnings", "off", "--no-color", "--request-timeout", "30", *chance,
    ]  # fmt: skip
    # The program keeps what it learns beside it: in a folder of the test's own.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3_000)
    assert done.returncode == 0, done.stdout[-4_000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout[-4_000:]
    return int(found[1])
