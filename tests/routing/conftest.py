"""What the gateway's tests share: simulated providers and the whole web application, both over real sockets."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from django.db import connections

from billing import invariants
from marketplace import asgi
from marketplace.lib import pool
from routing import upstream
from routing.selection.router import Policy, Router
from routing.services.checkpoints import CHECKPOINTS
from routing.services.health import HEALTH
from routing.simulation.app import Pace, Simulator
from routing.simulation.server import running, threaded
from routing.upstream import Deadlines
from tests.factories.routing import Buyer, buyer
from tests.servers.files import FileServer, serving

# A busy machine is no fault of the provider's: time is short only where a provider is told to be silent.
PATIENT = Deadlines(connect=10, first_chunk=20, answer=20, idle=20)
QUICK = Deadlines(
    connect=10,
    first_chunk=0.6,
    thinking=0.6,
    answer=0.6,
    idle=0.6,
    read_per_second=math.inf,
    written_per_second=math.inf,
)
SILENT = ("hang", "stall")


@dataclass
class Simulated:
    """A running simulated provider."""

    simulator: Simulator
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.simulator.exchange.base}"

    def order(self, *script: str, always: bool = False) -> None:
        if upstream.SENDER.limits is PATIENT and any(fault.startswith(SILENT) for fault in script):
            upstream.SENDER.limits = QUICK  # undone with what `_short` has set
        self.simulator.script.order(list(script), always=always)

    @property
    def calls(self) -> int:
        return len(self.simulator.received)


@pytest.fixture
def simulate(settings: Any) -> Iterator[Callable[..., Simulated]]:
    """Starts simulated providers and lists their origins as private ones that may be called."""
    with contextlib.ExitStack() as stack:

        def start(name: str = "sim-one", dialect: str = "openai_chat", cache_from: int = 0, **pace: Any) -> Simulated:
            answers = Pace(**({"tokens": 12} | pace))
            simulator = Simulator(name=name, pace=answers, dialect=dialect, cache_from=cache_from)
            port = stack.enter_context(running(simulator))
            settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"127.0.0.1:{port}"}
            return Simulated(simulator, port)

        yield start


@pytest.fixture
def files(settings: Any) -> Iterator[FileServer]:
    """A server of callers' files, whose origin is a private one that media may come from."""
    with serving() as server:
        settings.MEDIA_ORIGINS = settings.MEDIA_ORIGINS | {server.origin}
        yield server


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter deadlines, no memory of how endpoints did in the test before, and no exploration by chance."""
    monkeypatch.setattr(upstream.SENDER, "limits", PATIENT)
    monkeypatch.setattr(HEALTH, "router", Router(policy=Policy(explores=False)))


@pytest.fixture
def money(transactional_db: None) -> Iterator[None]:
    """A database that threads share; the books are looked at afterwards."""
    yield
    deadline = time.monotonic() + 30
    while CHECKPOINTS.is_busy and time.monotonic() < deadline:
        time.sleep(0.02)
    assert invariants.run() == []
    _close_pooled_connections()


@pytest.fixture
def alice(money: None) -> Buyer:
    return buyer()


@pytest.fixture
def gateway(money: None) -> Iterator[str]:
    """The whole web application behind uvicorn, as `make run` serves it; its address."""
    config = uvicorn.Config(asgi.application, interface="asgi3", log_level="warning", access_log=False, lifespan="off")
    with threaded(config, grace=2) as port:
        yield f"http://127.0.0.1:{port}"


def _close_pooled_connections() -> None:
    """Each thread of the pool closes its own connections, so that the test database can be emptied."""
    count = pool.EXECUTOR._max_workers
    together = threading.Barrier(count, timeout=30)

    def close() -> None:
        together.wait()
        connections.close_all()

    for done in [pool.EXECUTOR.submit(close) for _ in range(count)]:
        done.result()
