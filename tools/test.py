"""`make test`: sees to it that the outer parts are there, starts throw-away servers, runs pytest between.

All arguments go to pytest. With CI=true something missing is a failure rather than a skip.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import ahead, binaries  # noqa: E402  after the path
from tests.servers.postgres import Postgres  # noqa: E402  after the path
from tests.servers.redis import Redis  # noqa: E402  after the path

# One process for the whole systems, one for all else (tests/spread.py).
SPREAD = ["-n", "2", "--no-loadscope-reorder"]
# What is looked for, and the Debian package that brings it.
PARTS = {
    "PostgreSQL": (binaries.postgres_bin, "postgresql"),
    "Redis": (binaries.redis_server, "redis-server"),
    "Chromium": (binaries.chromium, "chromium"),
    "bubblewrap": (binaries.bubblewrap, "bubblewrap"),
    # What examples call.
    "Tesseract": (binaries.tesseract, "tesseract-ocr"),
    "FFmpeg": (binaries.ffmpeg, "ffmpeg"),
    "Flite": (binaries.flite, "flite"),
    # Root alone can run an engine of its own; the tests start one and end it.
    **(
        {"Docker": (binaries.docker_engine, "docker.io"), "debootstrap": (binaries.debootstrap, "debootstrap")}
        if sys.platform == "linux" and os.geteuid() == 0
        else {}
    ),
}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers below end with us
    missing = [name for name, (find, _) in PARTS.items() if not find()]
    if sys.platform != "linux" and "bubblewrap" in missing:
        missing.remove("bubblewrap")  # exists on Linux only; nothing is skipped without it elsewhere
    if missing and can_install():
        install([PARTS[name][1] for name in missing])
        missing = [name for name in missing if not PARTS[name][0]()]
    if missing:
        print(f"Not installed here: {', '.join(missing)}. Tests that need them are skipped.", flush=True)
        if os.environ.get("CI") == "true":
            print("With CI=true that is a failure.", file=sys.stderr)
            return 1
    environment = {**os.environ, "TURNPIKE_TESTING": "1", "PYTHONUNBUFFERED": "1"}
    for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "TURNPIKE_VAR", "PORT", "HOST"):
        environment.pop(name, None)  # a developer's own servers are not for tests
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of processes start here; one compiles for all
    arguments = sys.argv[1:] or SPREAD  # a part is quicker in one process
    with contextlib.ExitStack() as stack:
        if arguments is SPREAD:
            stack.enter_context(ahead.fetching())
        if "PostgreSQL" not in missing:
            environment["DATABASE_URL"] = stack.enter_context(Postgres()).url
            arguments = [*arguments, "--reuse-db"]  # nothing to drop: the whole server goes
        if "Redis" not in missing:
            environment["REDIS_URL"] = stack.enter_context(Redis()).url
        return run_pytest(arguments, environment)


def run_pytest(arguments: list[str], environment: dict[str, str]) -> int:
    """pytest's exit code; its summary is the last line printed, for nothing is printed after it."""
    process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the terminal has told pytest too; its end is ours
    finally:
        if process.poll() is None:  # only we were told to end
            process.terminate()
            process.wait()


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    """Debian's packages, without their services being started."""
    print(f"Installing {' '.join(packages)} (once)", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*quiet, "update"], env=environment, stdin=subprocess.DEVNULL)
    subprocess.run(
        [*quiet, "install", "-y", "--no-install-recommends", *packages],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    raise SystemExit(main())
