"""What a clean machine must first fetch, fetched while the first tests run: `python -m tests.servers.ahead`.

Whoever needs a part before it is there waits for its lock, or makes it; what fails here fails again there, and is told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from execution.builders import base_image
from tests.clients import environments
from tests.servers import binaries

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "var" / "base"


@contextlib.contextmanager
def fetching() -> Iterator[None]:
    """Fetch in a process of its own, behind the tests; what is not done at the end is left undone."""
    process = subprocess.Popen(
        ["nice", sys.executable, "-m", "tests.servers.ahead"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def fetch_base_image() -> None:
    """Debian for the Docker engine's tests, which only root can run."""
    if os.geteuid() == 0 and binaries.docker_engine() and binaries.debootstrap():
        base_image.tree(folder=BASE, log=print)


if __name__ == "__main__":
    threads = [threading.Thread(target=work) for work in (fetch_base_image, environments.build_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
