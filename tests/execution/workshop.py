"""Real builds and real instances for tests: one var/ per session, environments shared, nothing left running."""

from __future__ import annotations

import itertools
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from execution.builders import process
from execution.builders.base import BuildLimits, Built
from execution.runtimes import sandbox
from execution.runtimes.base import Event, Finished, InstanceSpec, Log, Output, RunLimits
from execution.runtimes.process import ProcessRuntime
from execution.runtimes.process_instance import ProcessInstance

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = 'build:\n  python_version: "3.11"\nrun: "predict.py:Runner"\n'

needs_walls = pytest.mark.skipif(
    sandbox.survey().isolation != "process", reason=f"no sandbox on this host: {sandbox.survey().note}"
)


class Workshop:
    """Builds and starts models below one var/."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.lines: list[str] = []
        self._count = itertools.count(1)
        self._built: dict[str, Built] = {}
        self._started: list[ProcessInstance] = []

    def source(self, files: dict[str, str] | str) -> Path:
        """A folder with these files; a text is predict.py beside a plain cog.yaml."""
        given = {"predict.py": files} if isinstance(files, str) else files
        folder = self.var / "sources" / str(next(self._count))
        for name, text in {"cog.yaml": CONFIG, **given}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return folder

    def build(self, files: dict[str, str] | str | Path, *, limits: BuildLimits | None = None) -> Built:
        """Build it once; the same sources again are the same build."""
        key = repr(files)
        if key not in self._built:
            source = files if isinstance(files, Path) else self.source(files)
            target = self.var / "builds" / str(next(self._count))
            self._built[key] = process.build(
                source=source, target=target, var=self.var, log=self.lines.append, limits=limits or BuildLimits()
            )
        return self._built[key]

    def start(self, files: dict[str, str] | str | Path, /, *, trains: str = "", **bounds: float) -> ProcessInstance:
        """A started instance of it; stopped at the end of the test at the latest."""
        built = self.build(files)
        limits = RunLimits(**bounds)  # type: ignore[arg-type]
        spec = InstanceSpec(version_id=built.digest, build=built.folder, trains=trains, limits=limits)
        instance = ProcessRuntime(var=self.var).start(spec)
        self._started.append(instance)
        return instance

    def tidy(self) -> None:
        """Stop what was started."""
        while self._started:
            self._started.pop().stop()


class Ran:
    """What came out of one prediction."""

    def __init__(self, instance: ProcessInstance, **given: object) -> None:
        self.events: list[Event] = []
        self.files: list[tuple[str, str, bytes]] = []

        def sink(file) -> str:
            self.files.append((file.name, file.content_type, file.path.read_bytes()))
            return f"kept:{file.name}"

        options: dict = {"prediction_id": f"p{time.monotonic_ns()}", "input": {}, "files": {}, "sink": sink, **given}
        for event in instance.predict(**options):
            self.events.append(event)

    @property
    def end(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def logs(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))

    @property
    def outputs(self) -> list:
        return [event.value for event in self.events if isinstance(event, Output)]


def family() -> set[int]:
    """Living processes below this one that belong to a sandbox."""
    found = set()
    for one in psutil.Process().children(recursive=True):
        try:
            if one.status() != psutil.STATUS_ZOMBIE:
                found.add(one.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def leftovers(before: set[int], *, seconds: float = 5.0) -> set[int]:
    """Processes that were not there before, after giving dying ones a moment."""
    deadline = time.monotonic() + seconds
    while (left := family() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@pytest.fixture(scope="session")
def workshop_of_session(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One var/ for all, so that environments are installed once."""
    return Workshop(tmp_path_factory.mktemp("var"))


@pytest.fixture
def workshop(workshop_of_session: Workshop) -> Iterator[Workshop]:
    """The workshop; after the test nothing that it started may live, no instance may be on disk."""
    before = family()
    workshop_of_session.lines.clear()
    yield workshop_of_session
    workshop_of_session.tidy()
    assert leftovers(before) == set()
    instances = workshop_of_session.var / "instances"
    assert not instances.exists() or list(instances.iterdir()) == []
