"""A policy's run over HTTP: its requests, sent by the production sender when they are due.

Written in the seconds of the run: the process's clock runs faster (`clock`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from benchmarks.routing.fleet import Truth
from benchmarks.routing.providers import Endpoint
from benchmarks.routing.scenarios import PRICE, Scenario
from benchmarks.routing.workload import Request
from benchmarks.routing.world import WHOLE, Job, Policy
from routing.adapters.base import HttpRequest, Target
from routing.adapters.registry import adapter_for
from routing.canonical import ChatRequest, Message, Text, UpstreamError, Usage
from routing.upstream import Sender, Stream

DIALECT = "openai_chat"
MODEL = "bench/model"
# The production sender, which all lanes share; it keeps its clients, since a hurried clock would renew them too often.
SENDER = Sender(pin_seconds=1e9)


class Lane(ABC):
    """The requests of a run, with what becomes of them. `endpoints` are what a catalogue knows: prices and weights."""

    def __init__(
        self, number: int, *, fleet: Sequence[Truth], scenario: Scenario, requests: Sequence[Request],
        ports: Sequence[int],
    ) -> None:  # fmt: skip
        self.endpoints = [Endpoint(truth, i) for i, truth in enumerate(fleet)]
        self.jobs = [Job(i, request) for i, request in enumerate(requests)]
        self.targets = [Target(f"http://127.0.0.1:{port}/{number}/v1", "simulated", {"api_key": "x"}) for port in ports]
        self.sent: list[tuple[float, int]] = []
        self.cuts: list[tuple[float, int, float]] = []
        self.answers: list[tuple[float, int]] = []
        self.lags: list[float] = []  # seconds of the run that requests went out after they were due
        self._faults = [fault for fault in scenario.faults if fault.kind == PRICE]
        self._begin = 0.0

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begin

    async def run(self, *, begin: float) -> list[Job]:
        """Send all; `begin` is of this process's clock."""
        self._begin = begin
        loop = asyncio.get_running_loop()
        for fault in self._faults:
            states = self.endpoints[fault.index].states
            loop.call_at(begin + fault.begin, states.__setitem__, PRICE, fault.amount)
            loop.call_at(begin + fault.end, states.pop, PRICE, None)
        async with asyncio.TaskGroup() as tasks:
            for job in self.jobs:
                await asyncio.sleep(max(0.0, job.request.at - self.now))
                self.lags.append(self.now - job.request.at)
                tasks.create_task(self.serve(job))
        return self.jobs

    @abstractmethod
    async def serve(self, job: Job) -> None:
        """One request, from its arrival to its end."""

    async def open(self, request: HttpRequest, index: int, *, patience: float) -> Stream:
        """A call to an endpoint, its first token in hand. Raises UpstreamError."""
        began = self.now
        self.sent.append((began, index))
        try:
            return await SENDER.open_stream(request, adapter=adapter_for(DIALECT), patience=patience)
        except UpstreamError as error:
            if error.kind == "timeout":
                self.cuts.append((self.now, index, began))
            raise
        except asyncio.CancelledError:  # moved to another endpoint
            self.cuts.append((self.now, index, began))
            raise

    def answered(self, job: Job, index: int) -> None:
        """The first token of an answer is there."""
        job.ttft = self.now - job.request.at
        job.index = index
        self.answers.append((self.now, index))

    async def read(self, job: Job, stream: Stream) -> Usage:
        """The whole answer; it costs what its usage says. Raises UpstreamError where it breaks off."""
        usage = None
        try:
            async for batch in stream.chunks():
                for chunk in batch:
                    usage = chunk.usage or usage
        finally:
            await stream.close()
        if usage is None:
            raise RuntimeError("The simulated providers tell the usage of every answer; this one did not.")
        job.cached = usage.cached_tokens
        job.dollars += self.endpoints[job.index].price(job.request, usage.cached_tokens)
        job.seconds = self.now - job.request.at - (job.ttft or 0.0)
        return usage

    def give_up(self, job: Job) -> None:
        """Nothing answered."""
        job.failed = True
        job.seconds = self.now - job.request.at


async def connect(ports: Sequence[int]) -> None:
    """Let the sender make its clients, which takes a while, before time counts."""
    for port in ports:
        with contextlib.suppress(UpstreamError):  # there is nothing at this address
            adapter = adapter_for(DIALECT)
            await SENDER.send(HttpRequest(f"http://127.0.0.1:{port}/", (), b"", method="GET"), adapter=adapter)


def chat_of(job: Job) -> ChatRequest:
    """The request as a chat: its prompt says in numbers what it stands for, so that no bulk has to be sent."""
    request = job.request
    told = {"number": job.number, "tokens": request.tokens, "output": request.output, "blocks": request.blocks}
    return ChatRequest(model=MODEL, messages=(Message("user", (Text(json.dumps(told)),)),), stream=True)


class PolicyLane(Lane):
    """What a policy of the simulation does, in the loop of the simulation, over HTTP."""

    def __init__(
        self, number: int, *, policy: Policy, fleet: Sequence[Truth], scenario: Scenario, requests: Sequence[Request],
        ports: Sequence[int],
    ) -> None:  # fmt: skip
        super().__init__(number, fleet=fleet, scenario=scenario, requests=requests, ports=ports)
        self.policy = policy

    async def serve(self, job: Job) -> None:
        policy, count = self.policy, len(self.endpoints)
        while left := job.left(count):
            if seconds := policy.hold(job, left, self.now):
                await asyncio.sleep(seconds)
                continue
            index = policy.choose(job, left, self.now)
            job.tried.append(index)
            if (seconds := policy.pause(index, self.now)) > 0:
                await asyncio.sleep(seconds)
            patience = min(policy.begin(job, index, job.left(count), self.now), WHOLE)
            request = adapter_for(DIALECT).build(chat_of(job), target=self.targets[index], stream=True, max_tokens=None)
            try:
                stream = await self.open(request, index, patience=patience)
            except UpstreamError as error:
                policy.failed(job, index, error.kind, error.retry_after, self.now)
                continue
            self.answered(job, index)
            policy.first(job, index, self.now)
            await self.read(job, stream)
            policy.ended(job, index, self.now)
            return
        self.give_up(job)
