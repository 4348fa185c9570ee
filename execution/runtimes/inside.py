"""The first program inside the sandbox. Standard library only: it is run by file, by any Python from 3.10 on.

`run` sets the limits and becomes the command. `serve` sets the limits, starts the command and carries bytes between
two sockets of the host and the model's loopback ports, so that the model needs no network to be reached:
    host -> listening unix socket (inherited) -> 127.0.0.1:PORT     requests to the model's server
    model -> 127.0.0.1:DOOR -> unix socket (mounted) -> host        fetching input files, handing in output files
A container inherits no socket: there `serve` calls the host instead (a mounted socket, "back") and offers connections,
which the host uses when it has a request. Nothing of the host need be writable for that.
"""

import collections
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading

STORED_BYTES = 256 * 1024 * 1024
OFFERS = 4
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def limit(limits: "dict[str, int]") -> None:
    """Set resource limits, soft and hard. Those of the host that are lower stay."""
    names = {
        "memory": resource.RLIMIT_AS,
        "file": resource.RLIMIT_FSIZE,
        "files": resource.RLIMIT_NOFILE,
        "processes": getattr(resource, "RLIMIT_NPROC", None),
        "core": resource.RLIMIT_CORE,
        "cpu": resource.RLIMIT_CPU,
    }
    for name, value in limits.items():
        what = names[name]
        if what is None:
            continue
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(what, (value, value))


def become(uid: int) -> None:
    """Give up root for this user, for good: no group, no capability stays."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def tie(parent: int) -> None:
    """Die with the parent, adopt orphans, gain no rights. On Linux; elsewhere only the limits hold."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if parent and os.getppid() != parent:
        sys.exit("the worker is gone")


class Store:
    """Bytes on their way, up to a bound: Cog's server cuts off a reader that keeps it waiting."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.size = 0
        self.pieces: collections.deque[bytes] = collections.deque()
        self.changed = threading.Condition()

    def put(self, piece: bytes) -> None:
        """Add a piece (an empty one is the end), waiting while there is no room."""
        with self.changed:
            while self.size > self.bound:
                self.changed.wait()
            self.pieces.append(piece)
            self.size += len(piece)
            self.changed.notify_all()

    def take(self) -> bytes:
        """The next piece, waiting for it."""
        with self.changed:
            while not self.pieces:
                self.changed.wait()
            piece = self.pieces.popleft()
            self.size -= len(piece)
            self.changed.notify_all()
            return piece

    def give_up(self) -> None:
        """Nobody takes any more: whatever comes is dropped."""
        with self.changed:
            self.bound = sys.maxsize
            self.pieces.clear()
            self.size = 0
            self.changed.notify_all()


def deliver(store: Store, target: socket.socket, source: socket.socket) -> None:
    """Send what is in the store until its end."""
    try:
        while True:
            piece = store.take()
            if not piece:
                break
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # The target is gone: let the source know, and wait for nothing.
        store.give_up()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way until the source ends, then tell the target."""
    store = Store(STORED_BYTES)
    sender = threading.Thread(target=deliver, args=(store, target, source), daemon=True)
    sender.start()
    hurried = source.family == socket.AF_INET and hasattr(socket, "TCP_QUICKACK")
    try:
        while True:
            if hurried:  # else each small event waits 40 ms for the acknowledgement of the one before it
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            data = source.recv(256 * 1024)
            if not data:
                break
            store.put(data)
    except OSError:
        pass
    store.put(b"")
    sender.join()


def carry(near: socket.socket, family: int, address: "str | tuple[str, int]", head: bytes = b"") -> None:
    """Carry one connection to its other end and back; `head` has been read from it already."""
    far = socket.socket(family, socket.SOCK_STREAM)
    try:
        far.connect(address)
        far.sendall(head)
        if family == socket.AF_INET:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()
    except OSError:
        pass
    finally:
        near.close()
        far.close()


def relay(listener: socket.socket, family: int, address: "str | tuple[str, int]") -> None:
    """Carry every connection that comes in."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=carry, args=(near, family, address), daemon=True).start()


def offer(back: str, address: "tuple[str, int]") -> None:
    """Keep one connection to the host open for its next request; ends when the host is gone."""
    while True:
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            near.connect(back)
            head = near.recv(256 * 1024)
        except OSError:
            near.close()
            return
        if not head:  # the host gave it up unused
            near.close()
            continue
        threading.Thread(target=carry, args=(near, socket.AF_INET, address, head), daemon=True).start()


def serve(settings: "dict[str, object]", command: "list[str]") -> int:
    """Start the model's server with both relays; returns its exit status."""
    port, door_port = int(str(settings["port"])), int(str(settings["door_port"]))
    door = socket.create_server(("127.0.0.1", door_port), backlog=64)
    threading.Thread(target=relay, args=(door, socket.AF_UNIX, str(settings["door"])), daemon=True).start()
    at = ("127.0.0.1", port)
    if "back" in settings:
        for _ in range(OFFERS):
            threading.Thread(target=offer, args=(str(settings["back"]), at), daemon=True).start()
    else:
        requests = socket.socket(fileno=int(str(settings["listen_fd"])))
        threading.Thread(target=relay, args=(requests, socket.AF_INET, at), daemon=True).start()
    child = subprocess.Popen(command, close_fds=True)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        # As the one who adopts orphans we reap them too, until the server itself is gone.
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 or "back" not in settings else 128 - code  # as an engine writes signals


def main() -> int:
    """`inside.py run|serve <settings as JSON> command...`"""
    mode, settings, command = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
    if settings.get("uid") is not None:
        become(int(settings["uid"]))
    tie(int(settings.get("parent", 0)))
    if mode == "serve":
        # The relays stay outside the address-space limit only by being small; all else holds for them too.
        limit(settings["limits"])
        return serve(settings, command)
    limit(settings["limits"])
    if settings.get("merge"):
        os.dup2(2, 1)
    os.execvp(command[0], command)  # noqa: S606 (a list of words, no shell)


if __name__ == "__main__":
    sys.exit(main())
