"""Six simulated providers in a process of their own: real HTTP servers in OpenAI's chat dialect, on 127.0.0.1.

What they do is `benchmarks.routing.providers`, the very endpoints of the discrete-event simulation; here their clock
is a real one that runs `times` as fast. Every lane (one policy's run) has endpoints of its own behind the same six
servers, so that policies run side by side, meet the same disturbances of the machine, and nothing of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks.routing.fleet import Truth
from benchmarks.routing.providers import Call, Providers
from benchmarks.routing.scenarios import Scenario
from benchmarks.routing.workload import Request
from routing.canonical import UpstreamKind
from routing.simulation.app import Receive, Scope, Send
from routing.simulation.server import listen, server_of

JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream")]
STATUSES = {"unavailable": 503, "rate_limited": 429}


@dataclass(frozen=True, slots=True)
class Run:
    """What the servers are to be. `begin` is of the monotonic clock, which the processes of a machine share."""

    begin: float
    times: float
    fleet: list[Truth]
    scenario: Scenario
    seed: int
    lanes: int
    early: bool  # whether headers come when a request is taken, or with the first token


@dataclass(slots=True)
class Bill:
    """What a run cost beyond its answers: for each lane request -> dollars for calls that were cut off while they ran.

    `lags`: how many real seconds late the servers were with each thing that they had to do.
    """

    wasted: list[dict[int, float]]
    lags: list[float]


class Clock:
    """A run's time on this process's loop."""

    def __init__(self, run: Run) -> None:
        self._begin, self._times = run.begin, run.times
        self._loop = asyncio.get_running_loop()
        self._ahead = self._loop.time() - time.monotonic()  # uvloop keeps its time in milliseconds of its own
        self.lags: list[float] = []

    @property
    def now(self) -> float:
        return (time.monotonic() - self._begin) * self._times

    def later(self, when: float, what: Callable[[], None]) -> None:
        at = self._begin + when / self._times

        def due() -> None:
            self.lags.append(time.monotonic() - at)
            what()

        self._loop.call_at(at + self._ahead, due)


@dataclass(slots=True)
class Lane:
    """One lane's endpoints."""

    providers: Providers
    early: bool
    wasted: dict[int, float] = field(default_factory=dict)


class Servers:
    """The applications of the six servers, and the run that they serve."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self._clock: Clock | None = None

    def begin(self, run: Run) -> None:
        """From now on this is what they are."""
        clock = self._clock = Clock(run)
        self.lanes = [
            Lane(Providers(fleet=run.fleet, scenario=run.scenario, seed=run.seed, clock=clock), run.early)
            for _ in range(run.lanes)
        ]

    def bill(self) -> Bill:
        """What the run has cost so far."""
        return Bill([lane.wasted for lane in self.lanes], self._clock.lags if self._clock else [])

    async def application(self, index: int, scope: Scope, receive: Receive, send: Send) -> None:
        """One request at the server `index`: POST /{lane}/v1/chat/completions."""
        body = await _body(receive)
        if scope["method"] != "POST":
            await send({"type": "http.response.start", "status": 404, "headers": JSON})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        lane = self.lanes[int(scope["path"].split("/")[1])]
        assert self._clock is not None
        answer = Answer(send, json.loads(body), index=index, lane=lane, now=self._clock.now)
        work = asyncio.ensure_future(answer.give())
        watch = asyncio.ensure_future(_disconnected(receive))
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        if not work.done():
            work.cancel()
            answer.abandoned()
        await asyncio.gather(work, watch, return_exceptions=True)


class Answer:
    """One request at one endpoint, and its answer as events. The prompt says in numbers what it stands for."""

    def __init__(self, send: Send, asked: dict[str, Any], *, index: int, lane: Lane, now: float) -> None:
        told = json.loads(asked["messages"][-1]["content"])
        request = Request(0.0, told["tokens"], told["output"], tuple(told["blocks"]))
        self.call = Call(self, told["number"], request, index, now)
        self._lane = lane
        self._send = send
        self._steps: asyncio.Queue[tuple[str, float | None]] = asyncio.Queue()

    async def give(self) -> None:
        """The answer, as the endpoint has it."""
        was_taken = self._lane.providers.arrive(self.call)
        if was_taken and self._lane.early:
            await self._start(200, EVENTS)
        step, after = await self._steps.get()
        if step in STATUSES:
            further = [(b"retry-after", f"{after:g}".encode())] if after is not None else []
            await self._start(STATUSES[step], [*JSON, *further])
            await self._more(json.dumps({"error": {"message": f"Simulated: {step}.", "code": step}}).encode(), True)
            return
        if not self._lane.early:
            await self._start(200, EVENTS)
        await self._more(_event([{"index": 0, "delta": {"role": "assistant", "content": "First"}}]))
        await self._steps.get()
        usage = {
            "prompt_tokens": self.call.request.tokens,
            "completion_tokens": self.call.request.output,
            "prompt_tokens_details": {"cached_tokens": self.call.cached},
        }
        rest = _event([{"index": 0, "delta": {"content": " and the rest."}, "finish_reason": "stop"}])
        await self._more(rest + _event([], usage=usage) + b"data: [DONE]\n\n", True)

    def abandoned(self) -> None:
        """The client closed the connection."""
        if self.call.is_over:
            return
        if waste := self._lane.providers.drop(self.call):
            wasted = self._lane.wasted
            wasted[self.call.number] = wasted.get(self.call.number, 0.0) + waste

    def refused(self, call: Call, kind: UpstreamKind, retry_after: float | None) -> None:
        self._steps.put_nowait((kind, retry_after))

    def first(self, call: Call) -> None:
        self._steps.put_nowait(("first", None))

    def ended(self, call: Call) -> None:
        self._steps.put_nowait(("ended", None))

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _more(self, content: bytes, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": not last})


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


class Process:
    """The other end of the servers' process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.ports: list[int] = pipe.recv()

    def begin(self, run: Run) -> None:
        """Let them be this; returns when they are."""
        self._pipe.send(run)
        self._pipe.recv()

    def end(self) -> Bill:
        """What the run has cost."""
        self._pipe.send(None)
        bill: Bill = self._pipe.recv()
        return bill


@contextlib.contextmanager
def started(count: int) -> Iterator[Process]:
    """So many servers, each on a free port, until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, count), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Process(ours)
    finally:
        ours.close()
        process.join(timeout=10)


def _main(pipe: Connection, count: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, count))


async def _serve(pipe: Connection, count: int) -> None:
    """Serve until the other end of the pipe is closed: with its process at the latest."""
    servers = Servers()

    def at(index: int) -> Callable[[Scope, Receive, Send], Any]:
        return lambda scope, receive, send: servers.application(index, scope, receive, send)

    listening = [listen(0) for _ in range(count)]
    running = [server_of(at(i)) for i in range(count)]

    def heard() -> None:
        try:
            said = pipe.recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            for one in running:
                one.should_exit = one.force_exit = True
            return
        if said is None:
            pipe.send(servers.bill())
        else:
            servers.begin(said)
            pipe.send(True)

    asyncio.get_running_loop().add_reader(pipe.fileno(), heard)
    pipe.send([one.getsockname()[1] for one in listening])
    await asyncio.gather(*(one.serve(sockets=[bound]) for one, bound in zip(running, listening, strict=True)))
