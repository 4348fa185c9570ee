"""The walls around a process of a creator: bubblewrap where it works, and what can be had without it.

What holds and what does not is written in docs/sandbox.md and proven in tests/execution/runtimes/test_sandbox.py.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from execution.runtimes import nursery, process_tree
from execution.runtimes.seccomp import deny_list

PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT

INSIDE: Final = Path(__file__).with_name("inside.py")
INSIDE_AT: Final = "/run/turnpike/inside.py"
NOBODY: Final = 65534
# The range that systemd gives to services with a user of their own; nobody else's files are in it.
OWN_UIDS: Final = range(61184, 65520)
SYSTEM_FOLDERS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES: Final = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts", "/etc/mime.types")
NETWORK_FILES: Final = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/gai.conf",
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder, file or socket of the host that is seen inside, at the same path or at `target`."""

    source: Path
    target: str = ""
    writable: bool = False

    @property
    def at(self) -> str:
        return self.target or str(self.source)


@dataclass(frozen=True, slots=True)
class Walls:
    """What this host can do. `isolation` is "process" with bubblewrap, "none" without; `note` says what is missing."""

    isolation: str
    note: str
    bwrap: str = ""
    own_uid: bool = False
    processes_by_namespace: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A command to be run behind the walls. Sizes in bytes."""

    command: Sequence[str]
    cwd: str
    mounts: Sequence[Mount]
    environment: Mapping[str, str]
    network: bool = False
    tmp: Path | None = None  # without bubblewrap: the folder that stands in for the private /tmp
    tmp_bytes: int = 256 * 1024 * 1024
    memory_bytes: int = 4 * 1024 * 1024 * 1024
    file_bytes: int = 4 * 1024 * 1024 * 1024
    processes: int = 256
    open_files: int = 1024
    serve: Mapping[str, Any] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    merge: bool = False  # standard output goes where the error stream goes


@dataclass(slots=True)
class Confined:
    """A process behind the walls. `uid` is its own user on the host, or None when it runs as ours."""

    process: subprocess.Popen[bytes]
    uid: int | None
    started_at: float
    kind: str = "process"
    counts_memory: bool = False

    @property
    def pid(self) -> int:
        """The outermost process."""
        return self.process.pid

    def is_running(self) -> bool:
        """Whether the outermost process is there."""
        return self.process.poll() is None

    def ending(self) -> str:
        """How it ended, for a person; empty while it runs (a moment is given to one that is just dying)."""
        try:
            code = self.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return ""
        return f"killed by signal {-code}" if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """End it with everything that it started, and wait for the kernel to have done so."""
        process_tree.kill(pid=self.process.pid, uid=self.uid)
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed and stream is self.process.stdin:
                stream.close()


@functools.cache
def survey() -> Walls:
    """What this host can do, tried once for real. TURNPIKE_SANDBOX=none switches bubblewrap off (for tests)."""
    own_uid = os.geteuid() == 0 and _maps_high_ids()
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2] if part.isdigit())
    by_namespace = sys.platform.startswith("linux") and release >= (5, 14)
    bare = functools.partial(Walls, isolation="none", own_uid=own_uid)
    if os.environ.get("TURNPIKE_SANDBOX") == "none":
        return bare(note="bubblewrap is switched off by TURNPIKE_SANDBOX=none")
    bwrap = shutil.which("bwrap")
    if not bwrap:
        return bare(note="bubblewrap (bwrap) is not installed")
    walls = Walls(
        isolation="process",
        note="",
        bwrap=bwrap,
        own_uid=own_uid,
        processes_by_namespace=by_namespace,
    )
    try:
        trial = launch(Order(command=["true"], cwd="/", mounts=(), environment={"PATH": "/usr/bin:/bin"}), walls=walls)
        _, complaint = trial.process.communicate(timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return bare(note=f"bubblewrap does not work here: {error}")
    if trial.process.returncode != 0:
        return bare(note=f"bubblewrap does not work here: {complaint.decode(errors='replace').strip()[:200]}")
    return walls


def _maps_high_ids() -> bool:
    """Whether this (possibly namespaced) root can become the users of OWN_UIDS."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return False
    return any(
        int(inside) <= OWN_UIDS.start and int(inside) + int(count) >= OWN_UIDS.stop
        for inside, _, count in (line.split() for line in lines)
    )


def own_uid() -> int:
    """A user id of the range that no process has at the moment."""
    taken = {process_tree.real_uid(process) for process in psutil.process_iter()}
    return random.SystemRandom().choice([uid for uid in OWN_UIDS if uid not in taken])


def _limits(order: Order, walls: Walls, *, own: bool) -> dict[str, int]:
    limits = {"memory": order.memory_bytes, "file": order.file_bytes, "files": order.open_files, "core": 0}
    # Elsewhere this would count the processes of our whole user, and keep the host from forking.
    if own or walls.processes_by_namespace:
        limits["processes"] = order.processes
    return limits


def launch(
    order: Order, *, walls: Walls | None = None, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE
) -> Confined:
    """Start the command behind the walls. Raises OSError when it cannot even be tried."""
    walls = walls or survey()
    uid = own_uid() if walls.own_uid else None
    settings = {**order.serve, "limits": _limits(order, walls, own=uid is not None)}
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": stdout,
        "stderr": stderr,
        "start_new_session": True,
    }
    opened: list[int] = []
    try:
        if uid is not None:
            for mount in order.mounts:
                if mount.writable:
                    os.chown(mount.source, uid, uid)
            if order.tmp is not None:
                os.chown(order.tmp, uid, uid)
            settings["uid"] = uid
        if walls.bwrap:
            head = _bubblewrap(order, walls, opened, uid=uid)
            at = INSIDE_AT
            # The first process inside keeps bubblewrap's own environment, and shows it to its user.
            options["env"] = {"PATH": os.defpath}
        else:
            head, at = [], str(INSIDE)
            settings["parent"] = os.getpid()
            options |= {"cwd": order.cwd, "env": dict(order.environment)}
            if order.tmp is not None:
                options["env"] |= {"TMPDIR": str(order.tmp), "HOME": str(order.tmp)}
        mode = "serve" if order.serve else "run"
        python = os.path.realpath(sys.executable)
        argv = [*head, python, "-I", "-S", at, mode, json.dumps(settings), *order.command]
        process = nursery.spawn(argv, pass_fds=[*order.pass_fds, *opened], **options)
    finally:
        for fd in opened:
            os.close(fd)
    try:
        started_at = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:
        started_at = 0.0
    return Confined(process=process, uid=uid, started_at=started_at)


def python_prefix() -> Path:
    """The folder of the Python that runs us, as it is without a virtual environment."""
    return Path(os.path.realpath(sys.base_prefix))


def _data(content: bytes, opened: list[int]) -> str:
    """A file descriptor that reads `content`."""
    fd = os.memfd_create("turnpike")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    opened.append(fd)
    return str(fd)


def _bind(mount: Mount) -> list[str]:
    return ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.at]


def _ways(targets: Sequence[str]) -> list[str]:
    """The folders above the targets, outermost first: bubblewrap would make them for its own user only."""
    above = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(above - {"/", "/usr", "/tmp", "/dev"})  # noqa: S108 (the sandbox's own)


def _bubblewrap(order: Order, walls: Walls, opened: list[int], *, uid: int | None) -> list[str]:
    """bwrap's own words, up to the command. `opened` takes the descriptors that must be passed and then closed.

    As root bwrap builds the view with root's rights, so that it may show folders which the model's user could not walk
    to, and `inside` becomes that user. Otherwise a user namespace gives the rights, and closes the door behind it.
    """
    words = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    if uid is None:
        words += ["--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"]
    else:
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    if not order.network:
        words += ["--unshare-net"]
    words += ["--die-with-parent", "--new-session", "--hostname", "model", "--clearenv"]
    for name, value in order.environment.items():
        words += ["--setenv", name, value]
    words += ["--ro-bind", "/usr", "/usr"]
    for folder in SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), folder]
        elif path.is_dir():
            words += ["--ro-bind", folder, folder]
    shown = [name for name in (*SYSTEM_FILES, *(NETWORK_FILES if order.network else ())) if os.path.exists(name)]
    for folder in _ways(["/etc/passwd", *shown]):
        words += ["--perms", "0755", "--dir", folder]
    for name in shown:
        words += ["--ro-bind", os.path.realpath(name), name]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm"):  # noqa: S108 (the sandbox's own)
        words += ["--perms", "1777", "--size", str(order.tmp_bytes), "--tmpfs", folder]
    passwd = f"model:x:{NOBODY if uid is None else uid}:{NOBODY if uid is None else uid}::/tmp:/bin/false\n"
    words += ["--perms", "0444", "--ro-bind-data", _data(passwd.encode(), opened), "/etc/passwd"]
    python = python_prefix()
    mounts = [Mount(INSIDE, INSIDE_AT), *order.mounts]
    if not python.is_relative_to("/usr"):
        mounts.insert(0, Mount(python))
    for folder in _ways([mount.at for mount in mounts]):
        words += ["--perms", "0755", "--dir", folder]
    for mount in mounts:
        words += _bind(mount)
    # What is left writable of the made-up tree would be memory without a bound.
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", order.cwd]
    if rules := deny_list():
        words += ["--seccomp", _data(rules, opened)]
    # By descriptor: the first process inside shows its command line to all others.
    return [walls.bwrap, "--args", _data("\0".join(words).encode(), opened), "--"]
