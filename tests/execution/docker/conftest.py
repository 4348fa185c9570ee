"""One engine for the session, one build of the attacker, and containers that never outlive their test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from execution.builders import docker as builder
from execution.builders.base import Built
from execution.runtimes.base import InstanceSpec, RunLimits
from execution.runtimes.docker import DockerRuntime
from execution.runtimes.process_instance import ProcessInstance
from tests.servers.docker import DockerEngine

# It takes a minute and proves one thing, so it has a target of its own.
collect_ignore_glob = [] if os.environ.get("DOCKER_AGAIN") else ["test_again.py"]

HERE = Path(__file__).resolve().parent
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="session")
def running_engine() -> Iterator[DockerEngine]:
    """dockerd with the base image."""
    with DockerEngine() as started:
        yield started


@pytest.fixture
def docker_engine(running_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> DockerEngine:
    """The engine as this host's own, for one test."""
    monkeypatch.setenv("DOCKER_HOST", running_engine.host)
    # The throw-away engine has no bridge; only the first stage, which installs packages, uses this.
    monkeypatch.setenv("TURNPIKE_BUILD_NETWORK", "host")
    return running_engine


class Yard:
    """Builds and starts containers below one var/."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.lines: list[str] = []
        self._built: dict[Path, Built] = {}
        self._started: list[ProcessInstance] = []
        self._attacker: ProcessInstance | None = None

    def build(self, source: Path, **more: object) -> Built:
        """Build this folder once."""
        if source not in self._built:
            target = self.var / "builds" / f"{len(self._built)}-{source.name}"
            self._built[source] = builder.build(
                source=source,
                target=target,
                var=self.var,
                log=self.lines.append,
                **more,  # type: ignore[arg-type]
            )
        return self._built[source]

    def start(self, source: Path, **bounds: float) -> ProcessInstance:
        """A started container of it; removed at the end of the test at the latest."""
        built = self.build(source)
        limits = RunLimits(**{"memory_bytes": 256 * MEBIBYTE, "tmp_bytes": 32 * MEBIBYTE, "processes": 64, **bounds})  # type: ignore[arg-type]
        instance = DockerRuntime(var=self.var).start(
            InstanceSpec(version_id=built.digest, build=built.folder, limits=limits)
        )
        self._started.append(instance)
        return instance

    def attacker(self) -> ProcessInstance:
        """A warm attacker, shared by the tests that leave it sound."""
        if self._attacker is None or self._attacker.health() != "ready":
            self.end()
            self._attacker = self.start(HERE / "attacker")
            self._started.remove(self._attacker)
        return self._attacker

    @property
    def shared(self) -> set[str]:
        """The ids of what stays over tests."""
        return {self._attacker.id} if self._attacker is not None else set()

    def end(self) -> None:
        """Stop what stays over tests."""
        if self._attacker is not None:
            self._attacker.stop()
            self._attacker = None

    def tidy(self) -> None:
        """Remove what was started."""
        while self._started:
            self._started.pop().stop()


@pytest.fixture(scope="session")
def yard_of_session(tmp_path_factory: pytest.TempPathFactory, running_engine: DockerEngine) -> Iterator[Yard]:
    """One var/ for all, so that each folder is built once."""
    made = Yard(tmp_path_factory.mktemp("docker-var"))
    yield made
    made.end()


@pytest.fixture
def yard(yard_of_session: Yard, docker_engine: DockerEngine) -> Iterator[Yard]:
    """The yard; after the test no container of its own may be there, and no folder of one."""
    yield yard_of_session
    yard_of_session.tidy()
    client = docker_engine.client()
    try:
        left = {str(one.name).removeprefix("turnpike-") for one in client.containers.list(all=True)}
        assert left <= yard_of_session.shared
    finally:
        client.close()
    instances = yard_of_session.var / "instances"
    assert not instances.exists() or {one.name for one in instances.iterdir()} <= yard_of_session.shared


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the attacker's folder, to be changed."""
    return Path(shutil.copytree(HERE / "attacker", tmp_path / "attacker"))
