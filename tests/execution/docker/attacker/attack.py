"""A model that tries what a hostile one would (facts/reliability.md 1.2) and tells what came of it as JSON."""

import ctypes
import errno
import json
import os
import socket
import time
from collections.abc import Iterator

from cog import BaseRunner, Input, Path


def tried(call):
    """ "ok", or the name of the error."""
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "ok"


def write(path):
    with open(path, "w") as file:
        file.write("x")


def connect(host, port, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        one.connect((host, port))


def fork_bomb():
    count, children = 0, []
    try:
        while count < 1000:
            pid = os.fork()
            if pid == 0:
                time.sleep(5)
                os._exit(0)
            children.append(pid)
            count += 1
    except OSError as error:
        return [count, errno.errorcode[error.errno]]
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    return [count, "no end"]


def fill(path):
    written = 0
    try:
        with open(path, "wb") as file:
            while written < 1 << 30:
                written += file.write(bytes(1 << 20))
                file.flush()
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
    finally:
        os.unlink(path)
    return [written, "no end"]


def run_a_copy():
    with open("/bin/true", "rb") as source, open("/tmp/true", "wb") as target:
        target.write(source.read())
    os.chmod("/tmp/true", 0o755)
    pid = os.fork()
    if pid == 0:
        try:
            os.execv("/tmp/true", ["true"])
        except OSError as error:
            os._exit(error.errno)
    return errno.errorcode.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "ran")


def calls(numbers):
    """Each call with arguments that do nothing: the error says whether it reached the kernel's own checks."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = {}
    for name, arguments in numbers.items():
        ctypes.set_errno(0)
        result = libc.syscall(*[ctypes.c_long(one) for one in arguments])
        found[name] = "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    return found


def attack(name, given):
    if name == "status":
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file.read().splitlines())
        return {
            key: lines[key].strip() for key in ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
        }
    if name == "write":
        return {path: tried(lambda path=path: write(path)) for path in given}
    if name == "connect":
        return {f"{host}:{port}": tried(lambda host=host, port=port: connect(host, port)) for host, port in given}
    if name == "sockets":
        return {
            "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
            "packet": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
            "vsock": tried(lambda: socket.socket(40, socket.SOCK_STREAM)),
            "algorithms": tried(lambda: socket.socket(38, socket.SOCK_SEQPACKET)),
            "abstract": tried(lambda: socket.socket(socket.AF_UNIX).connect(f"\0{given}")),
            "name": tried(lambda: socket.getaddrinfo("example.com", 80)),
        }
    if name == "calls":
        return calls(given)
    if name == "see":
        return {
            "processes": sorted(int(one) for one in os.listdir("/proc") if one.isdigit()),
            "docker": os.path.exists("/var/run/docker.sock"),
            "devices": sorted(os.listdir("/dev")),
            "secrets": [name for name in os.environ if "SECRET" in name or "DATABASE" in name or "TURNPIKE" in name],
            "interfaces": [name for _, name in socket.if_nameindex()],
            "made": open("/made-in-the-build").read().strip(),
        }
    if name == "become root":
        return {"setuid": tried(lambda: os.setuid(0)), "shadow": tried(lambda: open("/etc/shadow").read())}
    if name == "fork bomb":
        return fork_bomb()
    if name == "fill":
        return fill(given)
    if name == "run a copy":
        return run_a_copy()
    if name == "eat memory":
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1)) * (8 << 20))
    if name == "flood":
        for _ in range(given):
            print("x" * 1000)
        return "flooded"
    if name == "hang":
        time.sleep(600)
    if name == "kill everything":
        os.kill(-1, 9)
    if name == "raise":
        raise ValueError("as asked")
    return "nothing"


class Runner(BaseRunner):
    def setup(self) -> None:
        print("the attacker is ready")
        if os.path.exists("/src/broken"):
            raise RuntimeError("broken on purpose")

    def run(
        self,
        name: str = Input(default="nothing"),
        given: str = Input(default="null"),
        file: Path | None = Input(default=None),
    ) -> Iterator[str]:
        if file is not None:
            yield file.read_text().upper()
        yield json.dumps(attack(name, json.loads(given)))
