"""Runs a build as processes of this host: its virtual environment, Cog's own HTTP server, our sandbox around it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from execution.runtimes import sandbox
from execution.runtimes.base import InstanceSpec, SetupFailed, StartFailed
from execution.runtimes.cog import Client, Gone, plain_error
from execution.runtimes.door import Door
from execution.runtimes.process_instance import ProcessInstance, said_in_setup
from execution.runtimes.sockets import Place
from execution.runtimes.tail import Tail

POLL_SECONDS: Final = 0.03
START_SECONDS: Final = 30.0  # for the server itself, before the creator's setup counts
SOURCE_AT: Final = "/src"
DOOR_AT: Final = "/run/turnpike/door.sock"
PORT: Final = 5000
DOOR_PORT: Final = 5001
CERTIFICATES: Final = "lib/python3*/site-packages/certifi/cacert.pem"  # certifi comes with cog


class ProcessRuntime:
    """The `process` runtime. Instances keep their sockets and records under var/instances/<id>/."""

    kind = "process"

    def __init__(self, *, var: Path) -> None:
        self.folder = var / "instances"
        walls = sandbox.survey()
        self.isolation = walls.isolation
        self.isolation_note = walls.note

    def start(self, spec: InstanceSpec, *, is_canceled: Callable[[], bool] = lambda: False) -> ProcessInstance:
        """Start and wait until ready. Raises SetupFailed (the version's fault) or StartFailed (the host's)."""
        began = time.monotonic()
        try:
            build = json.loads((spec.build / "build.json").read_text())
            schema = json.loads((spec.build / "src/.cog/openapi_schema.json").read_text())
        except (OSError, ValueError) as error:
            raise StartFailed(f"The build of this version cannot be read: {error}.") from error
        home = self.folder / secrets.token_hex(8)
        try:
            instance = self._launch(spec, build, schema, home)
        except (OSError, StartFailed) as error:
            shutil.rmtree(home, ignore_errors=True)
            note = f" (isolation none: {self.isolation_note})" if self.isolation == "none" else ""
            raise StartFailed(f"The model's process could not be started: {error}{note}") from error
        try:
            self._await_ready(instance, spec, is_canceled)
        except BaseException:
            instance.stop()
            raise
        instance.setup_seconds = time.monotonic() - began
        return instance

    def _launch(
        self, spec: InstanceSpec, build: Mapping[str, Any], schema: Mapping[str, Any], home: Path
    ) -> ProcessInstance:
        walls = sandbox.survey()
        (home / "door").mkdir(parents=True)
        for folder in (self.folder, home):
            # Walls of bubblewrap hide this folder; without it, a user of its own must be able to walk through.
            folder.chmod(0o700 if walls.bwrap or not walls.own_uid else 0o711)
        (home / "out").mkdir(mode=0o700)
        (home / "tmp").mkdir(mode=0o700)
        place, door_place = Place(home), Place(home / "door")
        port, door_port = (PORT, DOOR_PORT) if walls.bwrap else (_free_port(), _free_port())
        listener = place.listen("model.sock")
        door = Door(listener=door_place.listen("door.sock", mode=0o666), url=f"http://127.0.0.1:{door_port}")
        try:
            order = _order(spec, build, home, walls, port=port, door_port=door_port, listen_fd=listener.fileno())
            confined = sandbox.launch(order, walls=walls, stdout=sandbox.PIPE, stderr=sandbox.STDOUT)
        except BaseException:
            door.close()
            door_place.close()
            place.close()
            raise
        finally:
            listener.close()
        return ProcessInstance(
            version_id=spec.version_id,
            home=home,
            confined=confined,
            limits=spec.limits,
            client=Client(address=place.address("model.sock"), limits=spec.limits),
            door=door,
            places=(place, door_place),
            tail=Tail(confined.process.stdout),
            is_iterator=_is_iterator(schema),
            concurrency=int(build.get("concurrency", 1)),
        )

    def _await_ready(self, instance: ProcessInstance, spec: InstanceSpec, is_canceled: Callable[[], bool]) -> None:
        limit = spec.limits.setup_seconds
        # Cog has the limit too and says it more exactly; ours is for a server that says nothing at all.
        answered, deadline = False, time.monotonic() + START_SECONDS
        while True:
            try:
                health = instance.client.health()
            except Gone:
                health = None
            if health is not None:
                if not answered:
                    answered, deadline = True, time.monotonic() + limit + 5.0
                instance.said_in_setup = said_in_setup(health.logs)
                if health.status in ("READY", "BUSY"):
                    return
                if health.status in ("SETUP_FAILED", "DEFUNCT", "UNHEALTHY"):
                    raise _setup_failure(health.logs, limit, instance)
            if instance.lost_reason or not instance.is_running():
                raise SetupFailed(
                    f"The model's process ended during its start: {instance.death()}.", logs=instance.logs()
                )
            if is_canceled():
                raise StartFailed("The start was canceled.")
            if time.monotonic() > deadline:
                if not answered:
                    raise StartFailed(f"Cog's server did not answer within {START_SECONDS:.0f} s. {instance.logs()}")
                raise SetupFailed(f"setup() took longer than the limit of {limit:g} s.", logs=instance.logs())
            time.sleep(POLL_SECONDS)

    def reap(self, *, pid: int, started_at: float, instance_id: str) -> bool:
        """End what a dead worker left under this record, and remove its folder."""
        home = self.folder / instance_id
        record = _record(home)
        if _is_same(int(record.get("owner_pid", 0)), float(record.get("owner_started_at", 0.0))):
            return False  # another living worker of this host owns it
        there = _is_same(pid, started_at)
        if there:
            uid = record.get("uid")
            sandbox.kill_tree(pid=pid, uid=uid if uid in sandbox.OWN_UIDS else None)
        shutil.rmtree(home, ignore_errors=True)
        return there


def _is_same(pid: int, started_at: float) -> bool:
    """Whether this pid still is the process that started then: pids are given out again."""
    try:
        return pid > 0 and abs(psutil.Process(pid).create_time() - started_at) < 0.01
    except psutil.Error:
        return False


def _record(home: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((home / "record.json").read_text()))
    except (OSError, ValueError):
        return {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_iterator(schema: Mapping[str, Any]) -> bool:
    output = schema.get("components", {}).get("schemas", {}).get("Output", {})
    return bool(output.get("x-cog-array-type") == "iterator")


def _order(
    spec: InstanceSpec,
    build: Mapping[str, Any],
    home: Path,
    walls: sandbox.Walls,
    *,
    port: int,
    door_port: int,
    listen_fd: int,
) -> sandbox.Order:
    source, environment = (spec.build / "src").resolve(), Path(str(build["environment"]))
    boxed = bool(walls.bwrap)
    limits = spec.limits
    variables = {
        # Cog starts its worker as `python` from PATH, whatever python it runs under itself.
        "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp" if boxed else str(home / "tmp"),  # noqa: S108 (the sandbox's own)
        "LANG": "C.UTF-8",
        "PORT": str(port),
        "COG_PREDICT_TYPE_STUB": str(build["reference"]),
        "COG_SETUP_TIMEOUT": str(max(1, round(limits.setup_seconds))),
        "COG_MAX_CONCURRENCY": str(build.get("concurrency", 1)),
        "COG_LOG_LEVEL": "warn",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Cog's server panics at its first upload when it finds no certificates; the sandbox shows none of the host's.
        "SSL_CERT_FILE": next((str(one) for one in environment.glob(CERTIFICATES)), ""),
        **spec.environment,
    }
    mounts = [
        sandbox.Mount(source, SOURCE_AT),
        sandbox.Mount(environment),
        sandbox.Mount(home / "door/door.sock", DOOR_AT),
        *(sandbox.Mount(Path(one)) for one in build.get("python_folders", ())),
    ]
    return sandbox.Order(
        command=[
            "python",
            "-m",
            "cog.server.http",
            "--host",
            "127.0.0.1",
            "--upload-url",
            f"http://127.0.0.1:{door_port}/out/",
        ],
        cwd=SOURCE_AT if boxed else str(source),
        mounts=mounts,
        environment=variables,
        tmp=None if boxed else home / "tmp",
        tmp_bytes=limits.tmp_bytes,
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.tmp_bytes,
        processes=limits.processes,
        open_files=limits.open_files,
        serve={
            "port": port,
            "door_port": door_port,
            "listen_fd": listen_fd,
            "door": DOOR_AT if boxed else os.path.relpath(home / "door/door.sock", source),
        },
        pass_fds=[listen_fd],
    )


def _setup_failure(logs: str, limit: float, instance: ProcessInstance) -> SetupFailed:
    text = plain_error(logs.strip()) or instance.death()
    if "timed out" in text:
        return SetupFailed(f"setup() took longer than the limit of {limit:g} s.", logs=instance.logs())
    return SetupFailed(f"setup() failed: {text}", logs=instance.logs())
