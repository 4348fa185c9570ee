"""Runs a build as processes of this host: its virtual environment, Cog's own HTTP server, our sandbox around it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from execution.runtimes import process_tree, records, sandbox, starting
from execution.runtimes.base import InstanceSpec
from execution.runtimes.cog import Client
from execution.runtimes.door import Door
from execution.runtimes.process_instance import ProcessInstance
from execution.runtimes.tail import Tail
from marketplace.lib.sockets import Place

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
        build, schema = starting.read_build(spec)
        note = f" (isolation none: {self.isolation_note})" if self.isolation == "none" else ""
        return starting.start(
            launch=lambda: self._launch(spec, build, schema), spec=spec, is_canceled=is_canceled, note=note
        )

    def _launch(self, spec: InstanceSpec, build: Mapping[str, Any], schema: Mapping[str, Any]) -> ProcessInstance:
        home = self.folder / secrets.token_hex(8)
        try:
            return self._launch_in(home, spec, build, schema)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise

    def _launch_in(
        self, home: Path, spec: InstanceSpec, build: Mapping[str, Any], schema: Mapping[str, Any]
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
            schema_file = starting.write_schema(home, schema) if spec.trains else None
            order = _order(
                spec, build, home, walls, schema_file, port=port, door_port=door_port, listen_fd=listener.fileno()
            )
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
            body=confined,
            limits=spec.limits,
            client=Client(place.address("model.sock"), spec.limits, chats=starting.serves_chats(build)),
            door=door,
            places=(place, door_place),
            tail=Tail(confined.process.stdout),
            is_iterator=starting.is_iterator(schema),
            concurrency=starting.concurrency(spec, build),
        )

    def reap(self, *, pid: int, started_at: float, instance_id: str) -> bool:
        """End what a dead worker left under this record, and remove its folder."""
        home = self.folder / instance_id
        record = records.read(home)
        if records.is_same(int(record.get("owner_pid", 0)), float(record.get("owner_started_at", 0.0))):
            return False  # another living worker of this host owns it
        there = records.is_same(pid, started_at)
        if there:
            uid = record.get("uid")
            process_tree.kill(pid=pid, uid=uid if uid in sandbox.OWN_UIDS else None)
        shutil.rmtree(home, ignore_errors=True)
        return there


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _with_schema(source: Path, target: Path, schema_file: Path) -> Path:
    """Where no walls can show another file in its place: the sources once more, by links, with this schema."""
    shutil.copytree(source, target, copy_function=os.link)
    (target / starting.SCHEMA_AT).unlink()
    shutil.copy(schema_file, target / starting.SCHEMA_AT)
    return target


def _order(
    spec: InstanceSpec,
    build: Mapping[str, Any],
    home: Path,
    walls: sandbox.Walls,
    schema_file: Path | None,
    *,
    port: int,
    door_port: int,
    listen_fd: int,
) -> sandbox.Order:
    source, environment = (spec.build / "src").resolve(), Path(str(build["environment"]))
    boxed = bool(walls.bwrap)
    if schema_file is not None and not boxed:
        source = _with_schema(source, home / "src", schema_file)
    weights = starting.weights_of(spec, build)
    limits = spec.limits
    variables = starting.variables(
        spec,
        build,
        path=f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
        home="/tmp" if boxed else str(home / "tmp"),  # noqa: S108 (the sandbox's own)
        port=port,
        door_port=door_port,
        trainer=starting.TRAINER_AT if boxed else str(starting.TRAINER),
        weights=starting.weights_at(spec, build) if boxed else str(weights or ""),
    )
    # Cog's server panics at its first upload when it finds no certificates; the sandbox shows none of the host's.
    variables.setdefault("SSL_CERT_FILE", next((str(one) for one in environment.glob(CERTIFICATES)), ""))
    mounts = [
        sandbox.Mount(source, SOURCE_AT),
        sandbox.Mount(environment),
        sandbox.Mount(home / "door/door.sock", DOOR_AT),
        *(sandbox.Mount(Path(one)) for one in build.get("python_folders", ())),
        *([sandbox.Mount(schema_file, f"{SOURCE_AT}/{starting.SCHEMA_AT}")] if schema_file else []),
        *([sandbox.Mount(starting.TRAINER, starting.TRAINER_AT)] if spec.trains else []),
        *([sandbox.Mount(weights, starting.weights_at(spec, build))] if weights else []),
    ]
    return sandbox.Order(
        command=starting.command(spec, build, door_port=door_port),
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
