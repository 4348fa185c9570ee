"""Which process an instance is, and whose: written down, so that it is found when its owner is dead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil


def birth_of(pid: int) -> float:
    """When this process started; 0 when there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError):
        return 0.0


def is_same(pid: int, started_at: float) -> bool:
    """Whether this pid still is the process that started then: pids are given out again."""
    return pid > 0 and started_at > 0 and abs(birth_of(pid) - started_at) < 0.01


def read(home: Path) -> dict[str, Any]:
    """What was written of the instance that has this folder; empty when nothing can be read."""
    try:
        return dict(json.loads((home / "record.json").read_text()))
    except (OSError, ValueError):
        return {}


def write(home: Path, **facts: Any) -> None:
    """Write down whose the instance is, so that it is found when its owner is dead."""
    owner = psutil.Process()
    record = {"id": home.name, "owner_pid": owner.pid, "owner_started_at": owner.create_time(), **facts}
    (home / "record.json").write_text(json.dumps(record))
