"""Builds an upload on this host: its own virtual environment, the schema read inside the sandbox, sources frozen."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from execution.builders import environments, inspected, interpreters, source_folder, steps
from execution.builders.base import COG_VERSION, BuildCanceled, BuildFailed, BuildLimits, Built, Recipe
from execution.builders.interpreters import Interpreter
from execution.package import CogConfig, PackageError, digest
from execution.runtimes import sandbox
from execution.schema import of_chat

INSPECTION: Final = Path(__file__).with_name("inspection.py")
INSPECTION_AT: Final = "/run/turnpike/inspection.py"
SOURCE_AT: Final = "/src"


def build(
    *,
    source: Path,
    target: Path,
    var: Path,
    log: Callable[[str], None],
    limits: BuildLimits | None = None,
    is_canceled: Callable[[], bool] = lambda: False,
    salt: str = "",
    again: Recipe | None = None,
) -> Built:
    """See base.Build. `source` stays as it is; `target` appears whole or not at all, in place of an earlier one."""
    limits = limits or BuildLimits()
    deadline = time.monotonic() + limits.seconds
    config = source_folder.read_config_of(source)
    requirements = again.requirements if again else source_folder.requirements_of(source, config)
    _refuse_the_impossible(source, config)
    interpreter = interpreters.find(again.python if again else config.python_version)
    if unread := source_folder.unread_requirements(source, config):
        log(unread)
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
        frozen = source_folder.freeze(source, staging / "src", limits)
        if again is not None:
            schema = again.schema
        elif config.chat is not None:
            schema = of_chat(asdict(config.chat))
        else:

            def inspect(one: CogConfig) -> dict[str, Any]:
                return _inspect(frozen, environment, interpreter, one, log=log, limits=limits, is_canceled=is_canceled)

            schema = inspected.whole(config, inspect=inspect, log=log)
        (frozen / ".cog").mkdir(exist_ok=True)
        (frozen / ".cog/openapi_schema.json").write_text(json.dumps(schema, indent=1))
        cog, python = (again.cog_version, again.python_version) if again else (COG_VERSION, interpreter.version)
        extra = [f"cog=={cog}", f"python=={python}", *environment.packages, salt]
        built = Built(
            folder=target,
            python=environment.python,
            schema=schema,
            digest=digest(frozen, extra=extra),
            size_bytes=steps.size_of(frozen),
            cog_version=cog,
            python_version=python,
            packages=environment.packages,
            concurrency=config.concurrency,
            gpu_memory_mib=config.gpu_memory_mib,
        )
        record = {
            "reference": config.reference,
            "train": config.train,
            "serves": "chat" if config.chat else "predictions",
            "environment": str(environment.folder),
            "python_folders": [str(interpreter.prefix)],
            "python_version": python,
            "packages": built.packages,
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


def _refuse_the_impossible(source: Path, config: CogConfig) -> None:
    if config.run_commands:
        raise PackageError(
            f"cog.yaml: build.run ({config.run_commands[0][:60]!r}) needs the docker builder; "
            "this host builds with the process builder, which runs no commands."
        )
    missing = lacking(config)
    if missing:
        raise BuildFailed(
            f"cog.yaml: the system package {missing[0]!r} is not installed on this host. Its operator can install it "
            f"(apt-get install {' '.join(missing)}); or use a requirement from the package index that brings its own."
        )
    source_folder.refuse_links(source)


def lacking(config: CogConfig) -> list[str]:
    """The system packages that this host must have and has not."""
    return [name for name in config.system_packages if not _is_installed(name)]


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
    unread = source_folder.unread_requirements(frozen, config)
    return inspected.read(status=status, output=output, config=config, log=log, unread=unread)
