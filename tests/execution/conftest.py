"""What the tests of the hosting half share: one real build and one real agent for the session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from execution.agent.agent import Agent
from execution.builders import process
from execution.builders.base import BuildLimits, Built
from execution.scheduling.seats import Capacity
from marketplace.models import Version
from tests.factories.execution import hosted

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.fixture(scope="session")
def hello_build() -> Built:
    """examples/hello-text, built once with the real builder (its packages come from the package index)."""
    var = Path(settings.VAR)
    target = var / "builds" / "hello"
    target.parent.mkdir(parents=True, exist_ok=True)
    return process.build(
        source=EXAMPLES / "hello-text",
        target=target,
        var=var,
        log=lambda line: None,
        limits=BuildLimits(),
        is_canceled=lambda: False,
        salt="tests",
    )


@pytest.fixture
def hello(hello_build: Built, transactional_db: None) -> Version:
    """The built example as a version of demo/hello-text."""
    version = hosted(slug="hello-text", schema=hello_build.schema, version_id=hello_build.digest)
    Version.objects.filter(pk=version.pk).update(build_path=hello_build.folder.name)
    version.refresh_from_db()
    return version


@pytest.fixture(scope="session")
def agent() -> Iterator[Agent]:
    """A host's agent with two places, as the worker owns one."""
    made = Agent(hardware="cpu", capacity=Capacity(seats=2), var=Path(settings.VAR))
    made.start()
    yield made
    made.drain(seconds=1)
    shutil.rmtree(Path(settings.VAR) / "instances", ignore_errors=True)
