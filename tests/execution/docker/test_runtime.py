"""Containers as a runtime: the promises of base.Runtime, kept by an engine."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from execution.builders import version_image
from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits
from execution.package import PackageError
from execution.runtimes import engine, host, records
from execution.runtimes.base import InstanceSpec, RunLimits, SetupFailed, StartFailed
from execution.runtimes.docker import DockerRuntime
from execution.runtimes.host import HostRuntime
from tests.execution.docker.conftest import HERE, MEBIBYTE, Yard
from tests.execution.workshop import Ran
from tests.servers.docker import DockerEngine
from tests.servers.system import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

ATTACKER = HERE / "attacker"


def test_a_prediction_streams_takes_files_and_prints_its_log(yard: Yard, tmp_path: Path) -> None:
    instance = yard.attacker()
    wait_until(lambda: "the attacker is ready" in instance.setup_logs, within=5, what="the setup's log")
    (tmp_path / "in.txt").write_text("hello")
    ran = Ran(
        instance,
        input={"file": "input-file:0/in.txt", "name": "flood", "given": "2"},
        files={"input-file:0/in.txt": tmp_path / "in.txt"},
    )
    assert ran.end.status == "succeeded", ran.end
    assert ran.outputs == ["HELLO", '"flooded"']
    assert ran.logs.count("x" * 1000) == 2
    assert ran.end.metrics["predict_time"] < 30


def test_failures_and_cancels_are_ends_and_the_container_stays_warm(yard: Yard) -> None:
    instance = yard.start(ATTACKER)
    assert Ran(instance, input={"name": "raise"}).end.error == "ValueError: as asked"
    canceled = Ran(instance, input={"name": "hang"}, is_canceled=lambda: True)
    assert canceled.end.status == "canceled"
    if not canceled.end.instance_lost:
        assert json.loads(Ran(instance).outputs[-1]) == "nothing"


def test_a_setup_that_fails_leaves_nothing(yard: Yard, source: Path) -> None:
    (source / "broken").write_text("")
    with pytest.raises(SetupFailed, match="broken on purpose"):
        yard.start(source)


def test_a_container_of_a_dead_worker_is_reaped_by_its_record(yard: Yard, docker_engine: DockerEngine) -> None:
    instance = yard.start(ATTACKER)
    home = yard.var / "instances" / instance.id
    record = records.read(home)
    runtime = HostRuntime(var=yard.var)
    reap = partial(runtime.reap, pid=instance.pid, started_at=instance.started_at, instance_id=instance.id)
    assert not reap()  # its owner, this process, lives
    (home / "record.json").write_text(json.dumps({**record, "owner_pid": 2**22 - 1}))
    assert reap()
    assert not instance.is_running()
    assert not home.exists()


def test_a_build_names_its_image_by_digest_and_leaves_no_step_behind(yard: Yard, docker_engine: DockerEngine) -> None:
    built = yard.build(ATTACKER)
    record = json.loads((built.folder / "build.json").read_text())
    assert record["image"].startswith("sha256:")
    assert "cog==0.23.1" in built.packages
    client = docker_engine.client()
    try:
        config = client.images.get(record["image"]).attrs["Config"]
        assert (config["User"], config["Labels"]["turnpike.version"]) == ("65534:65534", built.digest)
        assert client.images.list(filters={"dangling": True, "label": "turnpike=build"}) == []
    finally:
        client.close()


def test_equal_requirements_are_installed_once(yard: Yard, source: Path) -> None:
    yard.build(ATTACKER)
    yard.lines.clear()
    (source / "attack.py").write_text((source / "attack.py").read_text() + "\n# another version\n")
    other = yard.build(source)
    assert other.digest != yard.build(ATTACKER).digest
    assert "These requirements were installed before; they are used again." in yard.lines


def test_commands_of_the_build_have_no_network(yard: Yard, source: Path) -> None:
    reach = "python3 -c \\\"import socket; socket.create_connection(('1.1.1.1', 443), 3)\\\""
    config = (source / "cog.yaml").read_text()
    (source / "cog.yaml").write_text(config.replace("echo made in the build > /made-in-the-build", reach))
    with pytest.raises(BuildFailed, match=r"Network is unreachable|non-zero code"):
        yard.build(source)
    assert any("Network is unreachable" in line for line in yard.lines), yard.lines


def test_a_build_that_takes_too_long_or_is_canceled_ends(yard: Yard, source: Path, docker_engine: DockerEngine) -> None:
    config = (source / "cog.yaml").read_text()
    (source / "cog.yaml").write_text(config.replace("echo made in the build > /made-in-the-build", "sleep 100"))
    with pytest.raises(BuildFailed, match="longer than the limit of 6 s"):
        yard.build(source, limits=BuildLimits(seconds=6))
    with pytest.raises(BuildCanceled):
        yard.build(source, is_canceled=lambda: True)
    client = docker_engine.client()
    try:
        assert client.containers.list(all=True, filters={"label": "turnpike=build"}) == []
    finally:
        client.close()


def test_what_cannot_be_built_says_which_line_to_change(yard: Yard, source: Path) -> None:
    (source / "cog.yaml").write_text('build:\n  python_version: "3.13"\nrun: "attack.py:Runner"\n')
    with pytest.raises(PackageError, match=r"python_version is 3\.13; this host's base image has Python 3\.11"):
        yard.build(source)
    (source / "cog.yaml").write_text('build:\n  python_version: "3.11"\nrun: "attack.py:Nobody"\n')
    with pytest.raises(BuildFailed, match="Nobody"):
        yard.build(source)


def test_docker_is_chosen_where_an_engine_and_a_base_image_answer(
    docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host.chosen() == "docker"
    monkeypatch.setenv("TURNPIKE_BASE_IMAGE", "turnpike/none:such")
    assert host.chosen() == "process"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert host.chosen() == "process"
    monkeypatch.setenv("TURNPIKE_RUNTIME", "docker")
    assert host.chosen() == "docker"
    monkeypatch.setenv("TURNPIKE_RUNTIME", "chroot")
    with pytest.raises(ValueError, match="TURNPIKE_RUNTIME"):
        host.chosen()


def test_gpus_are_given_by_their_ids_and_runsc_is_used_where_it_is() -> None:
    found = engine.Engine(isolation="gvisor", note="", runtime="runsc")
    walls = engine.walls(limits=RunLimits(memory_bytes=MEBIBYTE), engine=found, gpus=["GPU-1"], may_compile=True)
    [request] = walls["device_requests"]
    assert (request["DeviceIDs"], request["Count"]) == (["GPU-1"], 0)
    assert (walls["runtime"], walls["network_mode"], walls["read_only"]) == ("runsc", "none", True)
    assert walls["mem_limit"] == walls["memswap_limit"] == MEBIBYTE
    assert ",exec," in walls["tmpfs"]["/tmp"]


def test_the_device_of_a_models_slot_is_asked_of_the_engine_by_its_id(yard: Yard, tmp_path: Path) -> None:
    record = json.loads((yard.build(ATTACKER).folder / "build.json").read_text())
    shutil.copytree(yard.build(ATTACKER).folder, tmp_path / "gpu")
    (tmp_path / "gpu/build.json").write_text(json.dumps(record | {"gpu": True}))
    spec = InstanceSpec(version_id="v", build=tmp_path / "gpu", gpus=("GPU-1",))
    # No GPU is here: that the engine refuses shows that it was asked for one.
    with pytest.raises(StartFailed, match=r"(?i)device driver|gpu"):
        DockerRuntime(var=yard.var).start(spec)


def test_a_host_that_uses_containers_only_runs_no_process(
    docker_engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNPIKE_RUNTIME", "docker")
    (tmp_path / "src/.cog").mkdir(parents=True)
    (tmp_path / "src/.cog/openapi_schema.json").write_text("{}")
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(Exception, match="built to run as a process"):
        HostRuntime(var=tmp_path).start(InstanceSpec(version_id="v", build=tmp_path))


def test_removing_a_build_removes_its_image(yard: Yard, source: Path, docker_engine: DockerEngine) -> None:
    (source / "extra.txt").write_text("to be removed")
    record = json.loads((yard.build(source).folder / "build.json").read_text())
    version_image.remove(record)
    version_image.remove(record)  # once more is no error
    client = docker_engine.client()
    try:
        assert record["image"] not in [one.id for one in client.images.list(all=True)]
    finally:
        client.close()
    assert DockerRuntime.kind == "docker"
