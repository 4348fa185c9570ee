"""Virtual environments, one per set of requirements, shared by all versions that ask for the same.

They live under var/envs/<key>/ and are complete when complete.json is there. Nobody writes to a complete one; models
see them read-only. Wheels only: installing runs no code of a package.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from execution.builders import locks, pip, steps
from execution.builders.base import COG_VERSION, BuildFailed, BuildLimits, resolved
from execution.builders.interpreters import Interpreter
from execution.package import Requirement
from execution.runtimes import sandbox

PIP_AT: Final = "/run/turnpike/pip/pip"
COMPLETE: Final = "complete.json"
NOTHING_FOUND: Final = re.compile(r"(?:No matching distribution found for|that satisfies the requirement) (\S+)")
LAYOUT: Final = "1"  # raise it when environments are made differently


@dataclass(frozen=True, slots=True)
class Environment:
    """A complete environment. `packages` are exact, "numpy==2.2.1", sorted."""

    folder: Path
    packages: tuple[str, ...]
    size_bytes: int

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"


def key_of(*, interpreter: Interpreter, requirements: Sequence[Requirement]) -> str:
    """Equal for equal needs: order and spacing of requirements do not count."""
    texts = sorted(one.written for one in requirements)
    parts = [LAYOUT, interpreter.version, str(interpreter.program), platform.machine(), f"cog=={COG_VERSION}", *texts]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _complete(folder: Path) -> Environment | None:
    try:
        found = json.loads((folder / COMPLETE).read_text())
        return Environment(folder=folder, packages=tuple(found["packages"]), size_bytes=int(found["size_bytes"]))
    except (OSError, ValueError, KeyError):
        return None


def packages_in(folder: Path) -> tuple[str, ...]:
    """The exact packages of a complete environment. Raises FileNotFoundError."""
    found = _complete(folder)
    if found is None:
        raise FileNotFoundError(folder)
    return found.packages


def provide(
    *,
    var: Path,
    interpreter: Interpreter,
    requirements: Sequence[Requirement],
    log: Callable[[str], None],
    limits: BuildLimits,
    seconds: float,
    is_canceled: Callable[[], bool],
) -> Environment:
    """The environment for these requirements, made when it is not there. Raises BuildFailed, BuildCanceled."""
    envs = (var / "envs").resolve()
    envs.mkdir(parents=True, exist_ok=True)
    folder = envs / key_of(interpreter=interpreter, requirements=requirements)
    if found := _complete(folder):
        log(f"Requirements: installed before ({len(found.packages)} packages).")
        return found
    busy = "Another build installs the same requirements; waiting for it."
    with locks.alone(folder.with_suffix(".lock"), busy=busy, log=log, is_canceled=is_canceled):
        if found := _complete(folder):
            return found
        work = folder.with_suffix(".work")
        for leftover in (folder, work):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            work.mkdir()
            return _install(
                folder,
                work,
                interpreter=interpreter,
                requirements=requirements,
                log=log,
                limits=limits,
                seconds=seconds,
                is_canceled=is_canceled,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _install(
    folder: Path,
    work: Path,
    *,
    interpreter: Interpreter,
    requirements: Sequence[Requirement],
    log: Callable[[str], None],
    limits: BuildLimits,
    seconds: float,
    is_canceled: Callable[[], bool],
) -> Environment:
    tool = pip.find_pip()
    if tool is None:
        raise BuildFailed("This host has no pip to install requirements with (python3-pip, or python -m ensurepip).")
    made = subprocess.run(
        [str(interpreter.program), "-I", "-m", "venv", "--without-pip", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if made.returncode:
        raise BuildFailed(f"The virtual environment could not be made: {made.stderr.strip()[-500:]}")
    together = resolved(requirements)
    alone = [one.text for one in requirements if one.alone]
    _prepare(work, tool)
    what = f"cog {COG_VERSION} and {len(requirements)} requirements" if together else f"the same {len(alone)} packages"
    log(f"Installing {what} for Python {interpreter.version}.")
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        log(line)

    watch = steps.Watch((folder, work), limits.environment_bytes, "The installed packages")
    deadline = time.monotonic() + seconds
    for wanted, options in ((together, ()), (alone, ("--no-deps",))):
        if not wanted:
            continue
        (work / "requirements.txt").write_text("".join(f"{one}\n" for one in wanted))
        _unlock(folder)
        status, _ = steps.run(
            _pip_order(tool, folder, work, interpreter, limits, options),
            name="installing the requirements",
            seconds=max(1.0, deadline - time.monotonic()),
            log=hear,
            is_canceled=is_canceled,
            watch=watch,
        )
        if status:
            raise BuildFailed(explain(heard, requirements, python=interpreter.minor, status=status))
    shutil.rmtree(work)
    size = steps.check_size(steps.Watch((folder,), limits.environment_bytes, "The installed packages"))
    _own(folder)
    packages = tuple(sorted(_packages(folder)))
    (folder / COMPLETE).write_text(json.dumps({"packages": packages, "size_bytes": size}))
    return Environment(folder=folder, packages=packages, size_bytes=size)


def _prepare(work: Path, tool: Path) -> None:
    """What pip finds in the sandbox beside the environment."""
    (work / "tmp").mkdir(mode=0o777)
    (work / "tmp").chmod(0o777)
    (work / "pip").mkdir()
    (work / "pip/pip").symlink_to(tool)  # alone in its folder: pip must not see the packages beside it


def _unlock(folder: Path) -> None:
    """For the next step, which runs as a user of its own: none but the one in the sandbox."""
    if sandbox.survey().own_uid:
        for root, _, _ in os.walk(folder):
            os.chmod(root, 0o777)  # noqa: S103 (until it is ours again, in _own)


def _pip_order(
    tool: Path, folder: Path, work: Path, interpreter: Interpreter, limits: BuildLimits, options: Sequence[str]
) -> sandbox.Order:
    index = pip.host_index(tool)
    boxed = bool(sandbox.survey().bwrap)
    return sandbox.Order(
        command=[
            str(folder / "bin/python"),
            PIP_AT if boxed else str(work / "pip/pip"),
            "install",
            "--only-binary",
            ":all:",
            "--no-cache-dir",
            "--no-compile",
            "--progress-bar",
            "off",
            "--no-warn-script-location",
            *options,
            "--requirement",
            str(work / "requirements.txt"),
        ],
        cwd="/" if boxed else str(work),
        mounts=[
            sandbox.Mount(folder, writable=True),
            sandbox.Mount(work, writable=True),
            sandbox.Mount(tool, PIP_AT),
            sandbox.Mount(interpreter.prefix),
            *(sandbox.Mount(path) for path in index.paths),
        ],
        environment={
            **index.environment,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(work / "tmp"),
            "TMPDIR": str(work / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
        },
        network=True,
        tmp=work / "tmp" if not boxed else None,
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.environment_bytes,
        merge=True,
    )


def _own(folder: Path) -> None:
    """Files back to us, writable by nobody else."""
    is_root = os.geteuid() == 0
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            path = os.path.join(root, name)
            if is_root:
                os.chown(path, 0, 0, follow_symlinks=False)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & 0o755 | 0o444 | (0o111 if os.path.isdir(path) else 0))


def _packages(folder: Path) -> Iterator[str]:
    """Read from the folders' names: no code of the environment runs here."""
    for found in folder.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = found.name.removesuffix(".dist-info").rpartition("-")
        if name:
            yield f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def explain(heard: Sequence[str], requirements: Sequence[Requirement], *, python: str, status: int) -> str:
    """What pip's lines mean for the creator: which line of which file to change."""
    errors = [line.removeprefix("ERROR: ") for line in heard if line.startswith("ERROR: ")]
    for line in heard:
        if found := NOTHING_FOUND.search(line):
            bare = re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~;( ]", found[1])[0]).lower()
            origin = next((one.origin for one in requirements if one.name == bare), "")
            where = f"{origin}: " if origin else ""
            return (
                f"{where}no package for {found[1]!r} that runs on Python {python} without compiling "
                f"(wheels only). {errors[0] if errors else line}"
            )
    return "The requirements could not be installed: " + (" ".join(errors)[:1500] or f"pip ended with status {status}.")
