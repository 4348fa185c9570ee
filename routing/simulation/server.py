"""Running a simulated provider: in this process until it is told to stop, or in a thread of a test."""

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from routing.simulation.app import Receive, Scope, Send, Simulator

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def server_of(application: Application) -> uvicorn.Server:
    """A server for an ASGI application. Broken connections are its trade, so they are not logged."""
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        log_level="critical",
        access_log=False,
        interface="asgi3",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def listen(port: int, *, host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens there; port 0 takes any free one."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(2048)
    return bound


def running(simulator: Simulator) -> contextlib.AbstractContextManager[int]:
    """Serve a simulated provider from a thread on a free port; gives the port, and stops the server at the end."""
    return serving(simulator.application)


@contextlib.contextmanager
def serving(application: Application) -> Iterator[int]:
    """The same for any ASGI application."""
    server = server_of(application)
    bound = listen(0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=5)
        bound.close()
