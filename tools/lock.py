"""`make lock`: resolves requirements*.in for Python 3.11-3.13 on Linux and macOS, with hashes.

What is locked stays as it is unless it must move; UPGRADE=1 takes the newest of everything.
Uses uv as the resolver, in a virtualenv of its own under var/; nothing of where the packages come from is written.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "var" / "lock-tool"
LOCKS = ("requirements", "requirements-dev", "requirements-node")


def main() -> int:
    uv = TOOL / "bin" / "uv"
    if not uv.exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=True)
        subprocess.run([str(TOOL / "bin" / "pip"), "install", "--quiet", "uv"], check=True)
    for name in LOCKS:
        command = [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        plain = ["--no-header", "--no-emit-index-url", "--no-emit-find-links"]
        newest = ["--upgrade"] if os.environ.get("UPGRADE") else []
        # The development lock keeps to the product's versions, so that one virtualenv serves both.
        same = ["--constraint", "requirements.txt"] if name == "requirements-dev" else []
        subprocess.run(
            [*command, *plain, *newest, *same, f"{name}.in", "--output-file", f"{name}.txt"], cwd=ROOT, check=True
        )
        print(f"{name}.txt written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
