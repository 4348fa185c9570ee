"""`make check`: every check that changes nothing, all of them even if one fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "imports": ["lint-imports"],
    "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
    "dependencies": ["deptry", "."],
}


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory(prefix="turnpike-check-") as var:
        for name, command in CHECKS.items():
            started = time.monotonic()
            done = subprocess.run(
                [str(BIN / command[0]), *command[1:]],
                cwd=ROOT,
                env=environment(var),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            verdict = "ok" if done.returncode == 0 else "FAILED"
            print(f"{name:<13}{verdict:<7}{time.monotonic() - started:5.1f} s  {' '.join(command)}", flush=True)
            if done.returncode != 0:
                failed.append(name)
                print(done.stdout, flush=True)
    if failed:
        print(f"make check: {', '.join(failed)} failed")
    return 1 if failed else 0


def environment(var: str) -> dict[str, str]:
    """Ours, without what would point the checks at somebody's database."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return {**kept, "TURNPIKE_VAR": var, "NO_COLOR": "1"}


if __name__ == "__main__":
    raise SystemExit(main())
