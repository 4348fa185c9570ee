"""Runs a build as a container of this host's Docker engine: no network, no rights, nothing writable but its /tmp."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from execution.runtimes import engine, records, starting
from execution.runtimes.base import InstanceSpec, StartFailed
from execution.runtimes.cog import Client
from execution.runtimes.door import Door
from execution.runtimes.exchange import Exchange
from execution.runtimes.process_instance import ProcessInstance
from execution.runtimes.sandbox import INSIDE, INSIDE_AT
from execution.runtimes.tail import Tail
from marketplace.lib.sockets import Place

DOORS_AT: Final = "/run/turnpike/doors"
PORT: Final = 5000
DOOR_PORT: Final = 5001
LOOK_SECONDS: Final = 0.25


class DockerRuntime:
    """The `docker` runtime. Instances keep their sockets and records under var/instances/<id>/."""

    kind = "docker"

    def __init__(self, *, var: Path) -> None:
        self.folder = var / "instances"
        try:
            self._engine = engine.survey()
        except engine.NoEngine as error:
            self._engine = engine.Engine(isolation="container", note=str(error), runtime="")
        self.isolation = self._engine.isolation
        self.isolation_note = self._engine.note

    def start(self, spec: InstanceSpec, *, is_canceled: Callable[[], bool] = lambda: False) -> ProcessInstance:
        """Start and wait until ready. Raises SetupFailed (the version's fault) or StartFailed (the host's)."""
        build, schema = starting.read_build(spec)
        return starting.start(
            launch=lambda: self._launch(spec, build, schema), spec=spec, is_canceled=is_canceled, note=""
        )

    def _launch(self, spec: InstanceSpec, build: Mapping[str, Any], schema: Mapping[str, Any]) -> ProcessInstance:
        home = self.folder / secrets.token_hex(8)
        (home / "doors").mkdir(parents=True)
        (home / "out").mkdir(mode=0o700)
        # Before there is a container: one whose worker dies at the wrong moment is found by this.
        records.write(home, kind=self.kind, version=spec.version_id, pid=0, started_at=0.0, uid=None)
        for folder in (self.folder, home):
            folder.chmod(0o700)
        (home / "doors").chmod(0o755)
        place, doors = Place(home), Place(home / "doors")
        undo = contextlib.ExitStack()
        undo.callback(shutil.rmtree, home, ignore_errors=True)
        try:
            undo.callback(place.close)
            undo.callback(doors.close)
            # The sockets are the host's: the container can call them, and change nothing where they lie.
            door = Door(listener=doors.listen("door.sock", mode=0o666), url=f"http://127.0.0.1:{DOOR_PORT}")
            undo.callback(door.close)
            exchange = Exchange(model=place.listen("model.sock"), back=doors.listen("back.sock", mode=0o666))
            undo.callback(exchange.close)
            shown = _shown(spec, build, schema, home)
            body = self._contain(spec, build, home, exchange, shown)
            undo.callback(body.kill)
            return ProcessInstance(
                version_id=spec.version_id,
                home=home,
                body=body,
                limits=spec.limits,
                client=Client(place.address("model.sock"), spec.limits, chats=starting.serves_chats(build)),
                door=door,
                places=(place, doors),
                tail=Tail(body.pipe()),
                is_iterator=starting.is_iterator(schema),
                concurrency=starting.concurrency(spec, build),
            )
        except (DockerException, OSError, ValueError) as error:
            undo.close()
            raise StartFailed(f"The model's container could not be started: {error}") from error
        except BaseException:
            undo.close()
            raise

    def _contain(
        self, spec: InstanceSpec, build: Mapping[str, Any], home: Path, exchange: Exchange, shown: Mapping[str, str]
    ) -> Contained:
        try:
            client = engine.connect()
        except engine.NoEngine as error:
            raise StartFailed(str(error)) from error
        try:
            image = client.images.get(str(build["image"]))
            engine.refuse_variables(image.attrs["Config"].get("Env") or ())
            container = client.containers.create(
                str(image.id),
                _command(spec, build),
                name=f"turnpike-{home.name}",
                entrypoint=[],
                working_dir="/src",
                environment=_variables(spec, build),
                labels={engine.LABEL: "instance", f"{engine.LABEL}.instance": home.name},
                **engine.walls(
                    limits=spec.limits,
                    engine=self._engine,
                    mounts={str(home.resolve() / "doors"): DOORS_AT, str(INSIDE): INSIDE_AT, **shown},
                    gpus=spec.gpus if build.get("gpu") else (),
                    may_compile=bool(build.get("gpu")),
                ),
            )
        except ImageNotFound:
            client.close()
            raise StartFailed(f"This host's engine has no image {build['image']}: build the version again.") from None
        except BaseException:
            client.close()
            raise
        return Contained(client, container, exchange, memory_bytes=spec.limits.memory_bytes)

    def reap(self, *, pid: int, started_at: float, instance_id: str) -> bool:
        """Remove the container that a dead worker left under this record, and the record."""
        home = self.folder / instance_id
        record = records.read(home)
        if records.is_same(int(record.get("owner_pid", 0)), float(record.get("owner_started_at", 0.0))):
            return False  # another living worker of this host owns it
        there = False
        with contextlib.suppress(engine.NoEngine, DockerException):
            client = engine.connect()
            try:
                with contextlib.suppress(NotFound):
                    container = client.containers.get(f"turnpike-{instance_id}")
                    there = container.status == "running"
                    container.remove(force=True)
            finally:
                client.close()
        shutil.rmtree(home, ignore_errors=True)
        return there


class Contained:
    """A started container (process_instance.Body)."""

    kind = "docker"
    uid: int | None = None
    counts_memory = True

    def __init__(
        self, client: docker.DockerClient, container: Container, exchange: Exchange, *, memory_bytes: int
    ) -> None:
        self._client = client
        self._container = container
        self._exchange = exchange
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._ending = ""
        self._removed = False
        self._output: Iterable[bytes] = ()
        try:
            self._output = container.attach(stdout=True, stderr=True, stream=True, logs=True)
            container.start()
            container.reload()
        except BaseException:
            self.kill()
            raise
        self.pid = int(container.attrs["State"]["Pid"])
        self.started_at = records.birth_of(self.pid)

    def pipe(self) -> Any:
        """What it prints, as a pipe that ends with it."""
        reader, writer = os.pipe()
        threading.Thread(target=self._copy, args=(writer,), name="container-log", daemon=True).start()
        return os.fdopen(reader, "rb")

    def _copy(self, writer: int) -> None:
        with os.fdopen(writer, "wb", buffering=0) as out, contextlib.suppress(OSError, DockerException, ValueError):
            try:
                for piece in self._output:
                    out.write(piece)
            finally:
                self._hang_up()

    def _hang_up(self) -> None:
        """Close the engine's stream of what the container prints; may be called twice."""
        response = getattr(self._output, "_response", None)
        for one in (self._output, response):  # the stream's own close leaves the response's half open
            close = getattr(one, "close", None)
            if close is not None:
                with contextlib.suppress(OSError, DockerException, ValueError, AttributeError):
                    close()

    def is_running(self) -> bool:
        """Whether it has not ended; asked of the kernel, since the engine takes milliseconds to say so."""
        if self._removed or self._ending:
            return False
        if records.is_same(self.pid, self.started_at):
            return True
        self.ending()
        return False

    def ending(self) -> str:
        """How it ended, for a person; empty while it runs."""
        with self._lock:
            if self._removed or self._ending:
                return self._ending
            deadline = time.monotonic() + 2.0
            try:
                while True:
                    self._container.reload()
                    state = self._container.attrs["State"]
                    if not state["Running"]:
                        break
                    if records.is_same(self.pid, self.started_at) or time.monotonic() > deadline:
                        return self._of_memory() if _kills_for_memory(self.pid) else ""
                    time.sleep(0.05)
            except (APIError, DockerException):
                self._ending = "its container is gone"
                return self._ending
            code = int(state["ExitCode"])
            if state.get("OOMKilled"):
                self._ending = self._of_memory()
            else:
                self._ending = f"killed by signal {code - 128}" if code > 128 else f"exit status {code}"
            return self._ending

    def _of_memory(self) -> str:
        return f"it used more memory than the limit of {self._memory_bytes} bytes"

    def kill(self) -> None:
        """Remove the container with all that runs in it."""
        with self._lock:
            if self._removed:
                return
            self._removed = True
            self._ending = self._ending or "it was stopped"
            self._exchange.close()
            with contextlib.suppress(APIError, DockerException, OSError):
                self._container.remove(force=True, v=True)
            self._hang_up()
            self._client.close()


def _kills_for_memory(pid: int) -> int:
    """How many processes the kernel has killed in this process' group because it had used up its memory."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        for _, controllers, place in (line.split(":", 2) for line in lines):
            if controllers == "":  # version 2
                events = Path(f"/sys/fs/cgroup{place}/memory.events")
            elif controllers == "memory":
                events = Path(f"/sys/fs/cgroup/memory{place}/memory.oom_control")
            else:
                continue
            words = dict(line.split() for line in events.read_text().splitlines())
            return int(words.get("oom_kill", 0))
    except (OSError, ValueError):
        pass
    return 0


def _command(spec: InstanceSpec, build: Mapping[str, Any]) -> list[str]:
    settings = {
        "port": PORT,
        "door_port": DOOR_PORT,
        "door": f"{DOORS_AT}/door.sock",
        "back": f"{DOORS_AT}/back.sock",
        "limits": {"core": 0},
    }
    server = starting.command(spec, build, door_port=DOOR_PORT)
    return ["python3", "-I", "-S", INSIDE_AT, "serve", json.dumps(settings), *server]


def _variables(spec: InstanceSpec, build: Mapping[str, Any]) -> dict[str, str]:
    return starting.variables(
        spec,
        build,
        path=str(build.get("path") or "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"),
        home="/tmp",  # noqa: S108  the container's own
        port=PORT,
        door_port=DOOR_PORT,
        weights=starting.weights_at(spec, build),
    )


def _shown(spec: InstanceSpec, build: Mapping[str, Any], schema: Mapping[str, Any], home: Path) -> dict[str, str]:
    """Files of the host that are seen inside beside the image's own: a training's schema, a version's weights."""
    shown: dict[str, str] = {}
    if spec.trains:
        shown[str(starting.TRAINER)] = starting.TRAINER_AT
        shown[str(starting.write_schema(home, schema).resolve())] = f"/src/{starting.SCHEMA_AT}"
    if weights := starting.weights_of(spec, build):
        shown[str(weights.resolve())] = starting.weights_at(spec, build)
    return shown
