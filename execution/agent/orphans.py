"""Instances that a dead worker left behind."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Container
from pathlib import Path
from typing import Final

from execution.runtimes.base import Runtime

log = logging.getLogger(__name__)

HALF_MADE_SECONDS: Final = 60.0


def reap(*, var: Path, runtime: Runtime, own: Container[str]) -> int:
    """End instances that are recorded on disk but not among `own` ids, by pid and start time. How many still ran."""
    found = 0
    for home in sorted((var / "instances").glob("*")):
        if home.name in own or not home.is_dir():
            continue
        try:
            record = json.loads((home / "record.json").read_text())
            pid, started_at = int(record["pid"]), float(record["started_at"])
        except (OSError, ValueError, KeyError):
            # No record: left half-made, unless another worker is just making it.
            if time.time() - home.stat().st_mtime > HALF_MADE_SECONDS:
                shutil.rmtree(home, ignore_errors=True)
            continue
        if runtime.reap(pid=pid, started_at=started_at, instance_id=home.name):
            found += 1
            log.warning("Reaped instance %s of a dead worker (pid %d).", home.name, pid)
    return found
