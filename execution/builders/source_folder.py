"""An unpacked upload as builders read it: cog.yaml, requirements, and a copy that nobody can change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from execution.builders import steps
from execution.builders.base import BuildFailed, BuildLimits
from execution.package import CogConfig, PackageError, Requirement, read_config, read_requirements

MAX_TEXT_FILE: Final = 256 * 1024


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


def read_config_of(source: Path) -> CogConfig:
    """The upload's cog.yaml. Raises PackageError."""
    config = read_config(_text(source, "cog.yaml", _no_config(source)))
    for path in (config.path, *([config.training.path] if config.train else [])):
        if not (source / path).is_file():
            raise PackageError(f"cog.yaml names {path}, which is not in the upload.")
    return config


def _no_config(source: Path) -> str:
    """What to do where there is no cog.yaml at the top."""
    said = "There is no cog.yaml at the top of the upload"
    near = [one.name for one in sorted(source.iterdir()) if one.name.lower() in ("cog.yaml", "cog.yml")]
    if near:
        return f"{said}, but a {near[0]}: rename it to cog.yaml."
    deeper = sorted((one.relative_to(source) for one in source.rglob("cog.yaml")), key=lambda one: len(one.parts))
    if deeper:
        return f"{said}, but one in {deeper[0].parent.as_posix()[:100]}/: upload that folder."
    return f'{said}. It must say at least predict: "predict.py:Predictor".'


def unread_requirements(source: Path, config: CogConfig) -> str:
    """What to change where the upload has requirements.txt and cog.yaml asks for nothing; empty where all is well."""
    if config.requirements_file or config.packages or not (source / "requirements.txt").is_file():
        return ""
    return "cog.yaml does not name requirements.txt, so nothing of it is installed: add build.python_requirements."


def requirements_of(source: Path, config: CogConfig) -> tuple[Requirement, ...]:
    """What cog.yaml, or the file that it names, asks for. Raises PackageError."""
    if not config.requirements_file:
        return config.packages
    name = config.requirements_file
    text = _text(source, name, f"cog.yaml names {name} (build.python_requirements), which is not in the upload.")
    return read_requirements(text=text, name=name)


def refuse_links(source: Path) -> None:
    """Raise PackageError for a symbolic link, which could lead anywhere."""
    for path in source.rglob("*"):
        if path.is_symlink():
            raise PackageError(f"{path.relative_to(source)} is a symbolic link.")


def freeze(source: Path, frozen: Path, limits: BuildLimits) -> Path:
    """A copy of the sources that models can read and nobody can write."""
    size = steps.size_of(source)
    if size > limits.source_bytes:
        raise BuildFailed(f"The upload takes {size} bytes unpacked; the limit is {limits.source_bytes}.")
    frozen.parent.mkdir(parents=True)
    shutil.copytree(source, frozen, ignore=shutil.ignore_patterns("__pycache__", ".cog"))
    for path in (frozen, *frozen.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return frozen
