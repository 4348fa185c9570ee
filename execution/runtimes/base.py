"""What every runtime promises: start a version, run predictions on it, stop it without a trace.

No Django here: callers hand in plain values and a place for files, and read events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds on one instance and on each of its predictions. Bytes and seconds.

    Every error names the limit that it met.
    """

    setup_seconds: float = 300.0
    run_seconds: float = 3600.0
    cancel_seconds: float = 5.0  # after a cancel the model has this long, then it is killed
    memory_bytes: int = 8 * 1024 * MEBIBYTE
    tmp_bytes: int = 1024 * MEBIBYTE
    processes: int = 256  # threads count too
    open_files: int = 1024
    log_bytes: int = MEBIBYTE  # relayed per prediction; the rest is replaced by one line
    output_bytes: int = 32 * MEBIBYTE  # a prediction's JSON output, data URIs included
    file_bytes: int = 100 * MEBIBYTE  # one output file
    files_bytes: int = 200 * MEBIBYTE  # all output files of a prediction
    files: int = 1000


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """Which build to start. `build` is the folder that the builder made (`Built.folder`).

    With `trains`, a training's id, it is the version's train function that is started, for this one and then no more.
    `tenant` is whose code it is: a GPU holds instances of one tenant at one time. `gpu_memory` is how much of a GPU's
    memory it takes, in MiB; 0 is a whole GPU. `gpus` are the ids of the devices that it may use.
    """

    version_id: str
    build: Path
    trains: str = ""
    tenant: str = ""
    gpu_memory: int = 0
    gpus: tuple[str, ...] = ()
    limits: RunLimits = field(default_factory=RunLimits)
    environment: Mapping[str, str] = field(default_factory=dict)  # the only variables beside the runtime's own


@dataclass(frozen=True, slots=True)
class ProducedFile:
    """A file that a prediction made, lying in the runtime's folder: the sink must take it at once."""

    path: Path
    name: str
    content_type: str
    size: int


FileSink = Callable[[ProducedFile], str]
"""Stores the file (rename or copy) and returns the string that stands for it in the output: a storage key, a URL."""


# --- What a prediction tells while it runs, in order: Started, any number of the others, one Finished. ---


@dataclass(frozen=True, slots=True)
class Started:
    """The model has taken the prediction: run time counts from here."""


@dataclass(frozen=True, slots=True)
class Log:
    """Text that the model printed, already cut to `RunLimits.log_bytes` in total."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """Output. `append`: one more item of an iterator; else the whole value. Files are the strings the sink gave."""

    value: Any
    append: bool


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing new for a moment (at most half a second): the caller may renew its lease."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end. `status` is succeeded, failed or canceled; `error` is for the caller to read; `seconds` is the run time
    by the worker's own clock from Started to here; `metrics` is what the model reports (predict_time in seconds).
    `instance_lost`: the instance was stopped or died, and its lease is of no more use.
    """

    status: str
    error: str = ""
    seconds: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    instance_lost: bool = False


Event = Started | Log | Output | Alive | Finished


class RuntimeFailure(Exception):
    """Base of what `start` raises. The text is for the model's owner; `logs` holds what the model printed."""

    def __init__(self, message: str, *, logs: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.logs = logs


class SetupFailed(RuntimeFailure):
    """The creator's setup raised, hung past its limit, or its process died: the version is at fault."""


class StartFailed(RuntimeFailure):
    """The host could not start the instance: the version is not at fault, another host may do it."""


class Instance(Protocol):
    """A started version. Its methods may be called from any thread."""

    id: str
    version_id: str
    pid: int  # of the outermost process, in the host's counting
    started_at: float  # that process' start time as the kernel tells it (psutil's create_time)
    concurrency: int  # predictions at one time
    setup_seconds: float

    @property
    def address(self) -> str:
        """The unix socket of its server, for those who speak to it themselves."""
        ...

    @property
    def setup_logs(self) -> str:
        """What the creator's setup printed, as far as it is known by now."""
        ...

    def health(self) -> str:
        """One of starting, ready, busy, lost."""
        ...

    def is_there(self) -> bool:
        """Whether its server still listens: known at once, where `health` asks it how it is."""
        ...

    def predict(
        self,
        *,
        prediction_id: str,
        input: Mapping[str, Any],  # the word of Cog's API
        files: Mapping[str, Path],
        sink: FileSink,
        is_canceled: Callable[[], bool] = lambda: False,
        run_seconds: float | None = None,
    ) -> Iterator[Event]:
        """Run one prediction and tell what happens; never raises for the model's faults, those are a Finished.

        `files` maps URLs that occur anywhere in `input` to local files: the model gets them over its own door, so that
        it needs no network. `is_canceled` is asked every half second. Closing the iterator early cancels.
        """
        ...

    def cancel(self, prediction_id: str) -> None:
        """Ask the model to end this prediction; after `cancel_seconds` the instance is killed. Unknown ids: nothing."""
        ...

    def stop(self) -> None:
        """End the instance with everything that it started, at once, and remove its files. May be called twice."""
        ...


class Runtime(Protocol):
    """Starts instances. `isolation` is what the API shows: none, process, container, gvisor."""

    kind: str
    isolation: str
    isolation_note: str  # what is missing on this host and why, in one sentence; empty when nothing is

    def start(self, spec: InstanceSpec, *, is_canceled: Callable[[], bool] = lambda: False) -> Instance:
        """Start and wait until the model is ready. Raises SetupFailed or StartFailed; then nothing is left behind."""
        ...

    def reap(self, *, pid: int, started_at: float, instance_id: str) -> bool:
        """End what a dead worker left: only when `pid` still is the process that started then. Whether it was there."""
        ...
