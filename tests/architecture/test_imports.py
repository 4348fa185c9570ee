"""The import contracts hold, and each of them catches a deliberate breach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINTER = Path(sys.executable).parent / "lint-imports"
APPS = ("marketplace", "billing", "execution", "routing")

# The contract's id -> the file that breaks it, and the line that does.
BREACHES = {
    "apps": ("billing/breach.py", "import routing"),
    "rooms": ("billing/models/ledger.py", "import billing.services"),
    "floor": ("marketplace/lib/breach.py", "import marketplace.models"),
    "pure": ("billing/rating.py", "import django.db"),
    "pure, inside a function": ("execution/states.py", "def late() -> None:\n    import httpx"),
    "services": ("billing/services/breach.py", "import rest_framework"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the packages that lie in `folder`, with the project's own contracts."""
    return subprocess.run(
        [str(LINTER), "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the four packages, to be broken."""
    for app in APPS:
        shutil.copytree(ROOT / app, tmp_path / app, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_a_deliberate_breach_is_caught(copy: Path, breach: str) -> None:
    path, line = BREACHES[breach]
    with (copy / path).open("a") as module:
        module.write(f"\n\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 broken" not in done.stdout
    broken = contract_names()[breach.split(",")[0]]
    assert f"{broken} BROKEN" in done.stdout


def contract_names() -> dict[str, str]:
    """The contracts' names by id, from the project's configuration."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {contract["id"]: contract["name"] for contract in contracts}
