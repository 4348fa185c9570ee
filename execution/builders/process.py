"""Builds an upload on this host: its own virtual environment, the schema read inside the sandbox, sources frozen."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from execution.builders import environments, interpreters, steps
from execution.builders.base import COG_VERSION, BuildCanceled, BuildFailed, BuildLimits, Built
from execution.builders.interpreters import Interpreter
from execution.package import CogConfig, PackageError, digest, read_config, read_requirements
from execution.package.config import Requirement
from execution.runtimes import sandbox

INSPECTION: Final = Path(__file__).with_name("inspection.py")
INSPECTION_AT: Final = "/run/turnpike/inspection.py"
SOURCE_AT: Final = "/src"
MAX_TEXT_FILE: Final = 256 * 1024


def build(
    *,
    source: Path,
    target: Path,
    var: Path,
    log: Callable[[str], None],
    limits: BuildLimits | None = None,
    is_canceled: Callable[[], bool] = lambda: False,
    salt: str = "",
) -> Built:
    """See base.Build. `source` stays as it is; `target` appears whole or not at all, in place of an earlier one."""
    limits = limits or BuildLimits()
    deadline = time.monotonic() + limits.seconds
    config = _read_config(source)
    requirements = _requirements(source, config)
    _refuse_the_impossible(source, config)
    interpreter = interpreters.find(config.python_version)
    log(f"Building {config.reference} for Python {interpreter.version}, isolation: {sandbox.survey().isolation}.")
    environment = environments.provide(
        var=var,
        interpreter=interpreter,
        requirements=requirements,
        log=log,
        limits=limits,
        seconds=max(1.0, deadline - time.monotonic()),
        is_canceled=is_canceled,
    )
    if is_canceled():
        raise BuildCanceled("Canceled.")
    staging = target.with_name(f".{target.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        frozen = _freeze(source, staging / "src", limits)
        log(f"Reading the inputs and outputs of {config.reference}.")
        schema = _inspect(frozen, environment, interpreter, config, log=log, limits=limits, is_canceled=is_canceled)
        (frozen / ".cog").mkdir(exist_ok=True)
        (frozen / ".cog/openapi_schema.json").write_text(json.dumps(schema, indent=1))
        extra = [f"cog=={COG_VERSION}", f"python=={interpreter.version}", *environment.packages, salt]
        built = Built(
            folder=target,
            python=environment.python,
            schema=schema,
            digest=digest(frozen, extra=extra),
            size_bytes=steps.size_of(frozen),
            cog_version=COG_VERSION,
            python_version=interpreter.version,
            packages=environment.packages,
        )
        record = {
            "reference": config.reference,
            "environment": str(environment.folder),
            "python_folders": [str(interpreter.prefix)],
            "python_version": interpreter.version,
            "concurrency": config.concurrency,
            "gpu": config.gpu,
            "digest": built.digest,
        }
        (staging / "build.json").write_text(json.dumps(record, indent=1))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)  # of an attempt that died before it could tell
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    log(f"Built {built.digest[:12]}: {built.size_bytes} bytes of sources, {len(built.packages)} packages.")
    return built


def _text(source: Path, name: str, missing: str) -> str:
    path = source / name
    if not path.is_file() or path.is_symlink():
        raise PackageError(missing)
    if path.stat().st_size > MAX_TEXT_FILE:
        raise PackageError(f"{name} is longer than {MAX_TEXT_FILE} bytes.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(f"{name} is not UTF-8 text (at byte {error.start}).") from None


def _read_config(source: Path) -> CogConfig:
    missing = 'There is no cog.yaml at the top of the upload. It must say at least predict: "predict.py:Predictor".'
    config = read_config(_text(source, "cog.yaml", missing))
    if not (source / config.path).is_file():
        raise PackageError(f"cog.yaml names {config.path}, which is not in the upload.")
    return config


def _requirements(source: Path, config: CogConfig) -> tuple[Requirement, ...]:
    if not config.requirements_file:
        return config.packages
    name = config.requirements_file
    text = _text(source, name, f"cog.yaml names {name} (build.python_requirements), which is not in the upload.")
    return read_requirements(text=text, name=name)


def _refuse_the_impossible(source: Path, config: CogConfig) -> None:
    if config.run_commands:
        raise PackageError(
            f"cog.yaml: build.run ({config.run_commands[0][:60]!r}) needs the docker builder; "
            "this host builds with the process builder, which runs no commands."
        )
    missing = [name for name in config.system_packages if not _is_installed(name)]
    if missing:
        raise BuildFailed(
            f"cog.yaml: the system package {missing[0]!r} is not installed on this host. Its operator can install it "
            f"(apt-get install {' '.join(missing)}); or use a requirement from the package index that brings its own."
        )
    for path in source.rglob("*"):
        if path.is_symlink():
            raise PackageError(f"{path.relative_to(source)} is a symbolic link.")


def _is_installed(name: str) -> bool:
    if not shutil.which("dpkg-query"):
        return True  # not a Debian: what is missing shows when the code is imported
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Status}", "--", name.split("=")[0]],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return "install ok installed" in answer.stdout


def _freeze(source: Path, frozen: Path, limits: BuildLimits) -> Path:
    """A copy of the sources that models can read and nobody can write."""
    size = steps.size_of(source)
    if size > limits.source_bytes:
        raise BuildFailed(f"The upload takes {size} bytes unpacked; the limit is {limits.source_bytes}.")
    frozen.parent.mkdir(parents=True)
    shutil.copytree(source, frozen, ignore=shutil.ignore_patterns("__pycache__", ".cog"))
    for path in (frozen, *frozen.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return frozen


def _inspect(
    frozen: Path,
    environment: environments.Environment,
    interpreter: Interpreter,
    config: CogConfig,
    *,
    log: Callable[[str], None],
    limits: BuildLimits,
    is_canceled: Callable[[], bool],
) -> dict[str, Any]:
    """Cog's schema of the predictor: imports the creator's code, so it runs behind the walls, without a network."""
    boxed = bool(sandbox.survey().bwrap)
    order = sandbox.Order(
        command=[
            str(environment.python),
            "-B",
            INSPECTION_AT if boxed else str(INSPECTION),
            config.path,
            config.name,
        ],
        cwd=SOURCE_AT if boxed else str(frozen),
        mounts=[
            sandbox.Mount(frozen.resolve(), SOURCE_AT),
            sandbox.Mount(environment.folder),
            sandbox.Mount(interpreter.prefix),
            sandbox.Mount(INSPECTION, INSPECTION_AT),
        ],
        environment={
            "PATH": f"{environment.folder}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 (the sandbox's own)
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        memory_bytes=limits.memory_bytes,
    )
    name = f"importing {config.path}"
    status, output = steps.run(order, name=name, seconds=limits.inspect_seconds, log=log, is_canceled=is_canceled)
    try:
        answer = json.loads(output)
    except ValueError:
        raise BuildFailed(f"{config.path} ended the process while it was imported (status {status}).") from None
    if "schema" in answer and isinstance(answer["schema"], dict):
        return dict(answer["schema"])
    frames = [str(frame) for frame in answer.get("frames", ())]
    for frame in frames:
        log(f"  {frame}")
    where = f" ({frames[-1]})" if frames else ""
    hint = ""
    if missing := str(answer.get("missing", "")).split(".")[0]:
        hint = f" Is {missing!r} in the requirements?"
    raise BuildFailed(f"{config.reference} cannot be used: {str(answer.get('error', ''))[:2000]}{where}.{hint}")
