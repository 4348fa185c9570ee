"""How an upload becomes a build: one module per runtime that it is built for, each with a `build` (base.Build)."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from execution.builders.base import Build

BUILDERS: Final = {
    "process": "execution.builders.process",
    "docker": "execution.builders.docker",
}


__all__ = ["Build", "load"]


def load(*, kind: str) -> Build:
    """The builder for this kind of runtime. Raises KeyError for a kind that is not registered."""
    build: Build = import_module(BUILDERS[kind]).build
    return build
