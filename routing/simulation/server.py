"""Running a simulated provider: in this process until it is told to stop, or in a thread of a test."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from routing.simulation.app import Receive, Scope, Send, Simulator

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def config_of(application: Application) -> uvicorn.Config:
    """How an ASGI application is served. Broken connections are its trade, so they are not logged."""
    return uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        log_level="critical",
        access_log=False,
        interface="asgi3",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )


def server_of(application: Application) -> uvicorn.Server:
    """A server of its own process, which ends by a signal."""
    return uvicorn.Server(config_of(application))


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


def serving(application: Application) -> contextlib.AbstractContextManager[int]:
    """The same for any ASGI application. Whoever is still being answered at the end is cut off."""
    return threaded(config_of(application), grace=0)


@contextlib.contextmanager
def threaded(config: uvicorn.Config, *, grace: float) -> Iterator[int]:
    """The same for any configuration; `grace` is how many seconds requests under way get at the end."""
    server = _Prompt(config, grace=grace)
    bound = listen(0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        server.end()
        thread.join(timeout=grace + 5)
        bound.close()


class _Prompt(uvicorn.Server):
    """A server that ends when it is told, where uvicorn's looks every tenth of a second and then waits another."""

    def __init__(self, config: uvicorn.Config, *, grace: float) -> None:
        super().__init__(config)
        self._grace = grace
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._begun = threading.Event()

    def end(self) -> None:
        """From another thread."""
        self._begun.wait(timeout=5)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)

    async def main_loop(self) -> None:
        """Serve until the end."""
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        await self.on_tick(0)  # what every answer's headers begin with
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let requests end within the grace, and cut off the others."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := set(self.server_state.tasks):
            _, late = await asyncio.wait(tasks, timeout=self._grace)
            for task in late:
                task.cancel()
        while self.server_state.connections:
            for connection in list(self.server_state.connections):
                connection.transport.abort()  # closed, it would wait for a client that may not read any more
            await asyncio.sleep(0)
