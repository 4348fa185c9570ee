"""What a hostile model can do in a container: nothing of facts/reliability.md 1.2 gets through."""

from __future__ import annotations

import json
import platform
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from execution.runtimes import engine, seccomp
from execution.runtimes.base import InstanceSpec, StartFailed
from execution.runtimes.docker import DockerRuntime
from execution.runtimes.process_instance import ProcessInstance
from tests.execution.docker.conftest import HERE, MEBIBYTE, Yard
from tests.execution.workshop import Ran
from tests.servers.docker import DockerEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

ATTACKER = HERE / "attacker"


@pytest.fixture
def attacker(yard: Yard) -> ProcessInstance:
    return yard.attacker()


def result(instance: ProcessInstance, name: str, given: Any = None) -> Any:
    ran = Ran(instance, input={"name": name, "given": json.dumps(given)})
    assert ran.end.status == "succeeded", ran.end
    return json.loads(ran.outputs[-1])


@pytest.fixture
def listener() -> Iterator[int]:
    """Something of the host that listens on every address, as a careless database would."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104  that is the point
        yield int(server.getsockname()[1])


def test_it_is_nobody_without_any_right_and_sees_nothing_of_the_host(attacker: ProcessInstance) -> None:
    status = result(attacker, "status")
    assert status["Uid"].split() == ["65534"] * 4
    assert (status["CapEff"], status["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert result(attacker, "become root") == {"setuid": "EPERM", "shadow": "EACCES"}
    seen = result(attacker, "see")
    assert max(seen["processes"]) < 100
    assert (seen["docker"], seen["secrets"], seen["interfaces"]) == (False, [], ["lo"])
    harmless = {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
    assert set(seen["devices"]) <= harmless | {"tty", "urandom", "zero", "console"}
    assert seen["made"] == "made in the build"


def test_nothing_but_its_tmp_can_be_written(attacker: ProcessInstance) -> None:
    places = ["/etc/x", "/usr/x", "/src/x", "/opt/venv/x", "/run/turnpike/doors/x", "/run/turnpike/inside.py", "/x"]
    found = result(attacker, "write", [*places, "/proc/sys/kernel/core_pattern", "/tmp/x"])
    assert found.pop("/tmp/x") == "ok"
    assert set(found.values()) <= {"EROFS", "EACCES"}, found
    assert result(attacker, "run a copy") == "EACCES"  # noexec
    written, error = result(attacker, "fill", "/tmp/big")
    assert (written <= 33 * MEBIBYTE, error in ("ENOSPC", "EFBIG")) == (True, True)
    written, _ = result(attacker, "fill", "/dev/shm/big")
    assert written <= 65 * MEBIBYTE


def test_neither_the_internet_nor_the_host_can_be_reached(attacker: ProcessInstance, listener: int) -> None:
    own = [one.address for many in psutil.net_if_addrs().values() for one in many if one.family == socket.AF_INET]
    targets = [("1.1.1.1", 443), ("169.254.169.254", 80), ("172.17.0.1", listener)]
    found = result(attacker, "connect", [*targets, *((address, listener) for address in own)])
    # 127.0.0.1 is the container's own, where nobody listens at that port.
    assert found.pop(f"127.0.0.1:{listener}") == "ECONNREFUSED"
    assert set(found.values()) == {"ENETUNREACH"}, found
    with socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind("\0turnpike-test")
        hidden.listen()
        sockets = result(attacker, "sockets", "turnpike-test")
    assert sockets == {
        "raw": "EPERM",
        "packet": "EPERM",
        "vsock": "EPERM",
        "algorithms": "EPERM",
        "abstract": "ECONNREFUSED",
        "name": "gaierror",
    } | {"name": sockets["name"]}
    assert sockets["name"] != "ok"


def test_every_call_of_the_list_is_refused_before_the_kernel_looks_at_it(attacker: ProcessInstance) -> None:
    machine = platform.machine()
    column = 0 if machine == "x86_64" else 1
    numbers = {name: [pair[column], -1, 0, 0, 0, 0] for name, pair in seccomp.CALLS.items()}
    clone = seccomp.CLONE[machine]
    namespaces = {"NEWNS": 0x00020000, "NEWUSER": 0x10000000, "NEWNET": 0x40000000, "NEWPID": 0x20000000}
    numbers |= {f"clone {name}": [clone, flag | 17, 0, 0, 0, 0] for name, flag in namespaces.items()}
    found = result(attacker, "calls", {**numbers, "clone3": [seccomp.CLONE3, 0, 0]})
    assert found.pop("clone3") == "ENOSYS"  # so that the C library falls back to clone
    assert {name for name, error in found.items() if error != "EPERM"} == set()


def test_the_profile_allows_nothing_that_the_deny_list_of_processes_refuses() -> None:
    profile = json.loads(engine.allowed_calls())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert allowed & set(seccomp.CALLS) == set()
    assert {"chroot", "mknod", "mknodat", "settimeofday", "sethostname", "fanotify_init"} & allowed == set()
    # These are allowed with certain arguments only.
    bound = {name for rule in profile["syscalls"] if rule.get("args") for name in rule["names"]}
    assert bound == {"socket", "clone", "personality"}


def test_a_fork_bomb_ends_at_the_limit_and_the_model_lives_on(attacker: ProcessInstance) -> None:
    count, error = result(attacker, "fork bomb")
    assert (count < 64, error) == (True, "EAGAIN")
    assert result(attacker, "nothing") == "nothing"


def test_all_memory_is_the_containers_own_limit(yard: Yard) -> None:
    instance = yard.start(ATTACKER)
    ran = Ran(instance, input={"name": "eat memory"})
    assert ran.end.status == "failed"
    assert f"it used more memory than the limit of {256 * MEBIBYTE} bytes" in ran.end.error


def test_a_flood_of_logs_is_cut_outside_and_on_disk(attacker: ProcessInstance, docker_engine: DockerEngine) -> None:
    ran = Ran(attacker, input={"name": "flood", "given": "20000"})
    assert len(ran.logs) < 1.1 * MEBIBYTE
    logs = sum(path.stat().st_size for path in docker_engine.data.glob("containers/*/*-json.log*"))
    assert logs < 3 * MEBIBYTE


def test_a_run_that_hangs_is_ended_from_outside(yard: Yard) -> None:
    ran = Ran(yard.start(ATTACKER, cancel_seconds=1), input={"name": "hang"}, run_seconds=1.0)
    assert (ran.end.status, "limit" in ran.end.error) == ("failed", True)


def test_a_container_that_kills_all_its_processes_is_noticed(yard: Yard) -> None:
    ran = Ran(yard.start(ATTACKER), input={"name": "kill everything"})
    assert ran.end.status == "failed"


@pytest.mark.parametrize(
    "variable", ["LD_PRELOAD=/tmp/x.so", "LD_AUDIT=x", "NVIDIA_VISIBLE_DEVICES=all", "GLIBC_TUNABLES=x"]
)
def test_variables_that_reach_the_loader_are_refused(variable: str) -> None:
    with pytest.raises(ValueError, match=variable.partition("=")[0]):
        engine.refuse_variables(["PATH=/bin", variable])


def test_an_image_with_such_a_variable_does_not_start(yard: Yard, docker_engine: DockerEngine) -> None:
    built = yard.build(ATTACKER)
    record = json.loads((built.folder / "build.json").read_text())
    client = docker_engine.client()
    container = client.containers.create(record["image"], ["true"])
    evil = container.commit(changes=["ENV LD_PRELOAD=/tmp/evil.so"])
    container.remove()
    client.close()
    folder = yard.var / "evil"
    (folder / "src/.cog").mkdir(parents=True)
    (folder / "src/.cog/openapi_schema.json").write_text(json.dumps(built.schema))
    (folder / "build.json").write_text(json.dumps({**record, "image": evil.id}))
    with pytest.raises(StartFailed, match="LD_PRELOAD"):
        DockerRuntime(var=yard.var).start(InstanceSpec(version_id="evil", build=folder))
