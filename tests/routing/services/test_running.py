"""Chats that are charged by their time: what is held, what the host measured, what a dead process leaves."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone

from billing.models import Charge, Hold, LedgerAccount, Wallet
from billing.services import balances
from execution.agent.agent import Agent
from execution.agent.chat_door import ChatDoor
from execution.runtimes.base import InstanceSpec
from execution.scheduling.seats import Capacity
from execution.services import chats
from marketplace.lib.errors import NotFound, PaymentRequired
from marketplace.lib.pool import run
from marketplace.models import Endpoint
from marketplace.services import prices
from routing.models import Generation
from routing.services import chat, sweeping
from routing.services.checkpoints import CHECKPOINTS
from routing.services.routes import LONGEST_MS
from routing.simulation.app import Pace, Receive, Scope, Send, Simulator
from routing.simulation.server import serving
from tests.execution.workshop import EXAMPLES, Workshop, needs_walls, workshop, workshop_of_session
from tests.factories.execution import hosted
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.services.test_chat import asked, plain, streamed

__all__ = ["workshop", "workshop_of_session"]  # fixtures
A_MS = 1_400  # nano-USD: $0.0014 a second
ROYALTY = 140


@dataclass
class SimulatedHost:
    """A simulated provider behind the questions that a host of ours answers: it says that each run took `told` ms."""

    simulator: Simulator
    told: int | None = 2_345
    base_url: str = ""
    runs: list[str] = field(default_factory=list)
    named: list[tuple[str, str]] = field(default_factory=list)

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if not scope["path"].startswith("/v1/runs/"):
            self.named.append((headers["turnpike-run"], headers["turnpike-most-ms"]))
            await self.simulator.application(scope, receive, send)
            return
        self.runs.append(scope["path"].removeprefix("/v1/runs/"))
        status = 200 if self.told is not None else 404
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps({"milliseconds": self.told}).encode()})


@pytest.fixture
def host(settings: Any) -> Iterator[Callable[..., SimulatedHost]]:
    with contextlib.ExitStack() as stack:

        def start(**pace: Any) -> SimulatedHost:
            made = SimulatedHost(Simulator(name="host", pace=Pace(**({"tokens": 12} | pace))))
            port = stack.enter_context(serving(made.application))
            settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"127.0.0.1:{port}"}
            made.base_url = f"http://127.0.0.1:{port}/v1"
            return made

        yield start


def by_time(base_url: str, **more: Any) -> Endpoint:
    made = endpoint(base_url, per_unit={"hardware_ms": "0"}, **more)
    prices.set_prices(endpoint=made, prices={"hardware_ms": A_MS * 1_000_000})
    prices.set_prices(endpoint=made, prices={"hardware_ms": ROYALTY * 1_000_000}, kind="cost")
    return made


async def test_it_is_charged_by_the_milliseconds_that_its_host_measured(
    host: Callable[..., SimulatedHost], alice: Buyer
) -> None:
    ours = host()
    made = await run(by_time, ours.base_url)
    for answer in (plain, streamed):
        ours.told = 2_345 if answer is plain else 1
        await answer(alice)

    def look() -> None:
        first, second = Generation.objects.order_by("created_at")
        assert (first.cost_nano, first.units) == (2_345 * A_MS, {"hardware_ms": 2_345})
        assert (second.cost_nano, second.units) == (A_MS, {"hardware_ms": 1})
        assert first.completion_tokens == 12  # counted, and free of charge
        assert {one.amount_nano for one in Hold.objects.all()} == {LONGEST_MS * A_MS}
        assert ours.named == [(f"{one.pk}-{made.pk}", str(LONGEST_MS)) for one in (first, second)]
        assert ours.runs == [name for name, _ in ours.named]
        payable = LedgerAccount.Kind.PROVIDER_PAYABLE
        assert balances.of(kind=payable, owner_id=made.provider.account_id) == 2_346 * ROYALTY
        assert Wallet.objects.get(account=alice.account).balance_nano == 5 * 10**9 - 2_346 * A_MS

    await run(look)


async def test_no_more_is_charged_than_was_held_and_without_a_word_the_time_since_the_first_piece(
    host: Callable[..., SimulatedHost], alice: Buyer
) -> None:
    ours = host(ttft=0.3, tps=200)
    await run(by_time, ours.base_url)
    ours.told = LONGEST_MS + 1
    await streamed(alice)
    ours.told = None
    await streamed(alice)
    capped, guessed = await run(lambda: list(Generation.objects.order_by("created_at")))
    assert capped.cost_nano == LONGEST_MS * A_MS
    since_first = (guessed.generation_ms or 0) - (guessed.latency_ms or 0)
    assert 0 < guessed.cost_nano <= (since_first + 1) * A_MS


async def test_a_caller_that_goes_away_pays_what_it_ran(host: Callable[..., SimulatedHost], alice: Buyer) -> None:
    ours = host(tokens=500, tps=50)
    await run(by_time, ours.base_url)
    stream = await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    events: AsyncIterator[Any] = stream.events()
    for _ in range(3):
        await anext(events)
    ours.told = 60
    await events.aclose()  # type: ignore[attr-defined]
    row = await run(Generation.objects.get)
    assert (row.status, row.cost_nano) == ("canceled", 60 * A_MS)


async def test_a_dead_process_stream_is_charged_since_its_answer_began(
    host: Callable[..., SimulatedHost], alice: Buyer
) -> None:
    ours = host(tokens=500, tps=100)
    await run(by_time, ours.base_url)
    stream = await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    events: AsyncIterator[Any] = stream.events()
    for _ in range(5):
        await anext(events)
        await CHECKPOINTS.flush()
    assert await run(sweeping.sweep, now=timezone.now() + dt.timedelta(seconds=16)) == 1
    row = await run(Generation.objects.get)
    assert (row.status, row.cost_nano) == ("swept", row.units["hardware_ms"] * A_MS)
    assert row.cost_nano > 0
    assert await run(lambda: Charge.objects.get().amount_nano) == row.cost_nano
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_wallet_that_does_not_cover_the_longest_run_is_refused_without_talk_of_tokens(
    host: Callable[..., SimulatedHost], money: None
) -> None:
    ours = host()
    await run(by_time, ours.base_url)
    poor = await run(buyer, dollars="0.10")
    with pytest.raises(PaymentRequired, match=r"up to \$0\.42 is held for the 300 seconds that it may take"):
        await plain(poor)
    with pytest.raises(NotFound, match="charged by time"):
        await plain(poor, provider={"max_price": {"prompt": 100}})
    assert ours.named == []


@needs_walls
def test_over_the_whole_gateway_an_echo_by_the_second_costs_what_its_instance_took(
    gateway: str, alice: Buyer, workshop: Workshop, tmp_path: Path, settings: Any
) -> None:
    folder = shutil.copytree(EXAMPLES / "chat-echo", tmp_path / "chat-echo")
    by_token = '  prompt: "0.10"\n  completion: "0.40"\n'
    config = (folder / "cog.yaml").read_text()
    assert by_token in config
    (folder / "cog.yaml").write_text(config.replace(by_token, "  charge: second\n"))
    built = workshop.build(folder)
    version = hosted(slug="echo", version_id=built.digest, schema=built.schema)
    agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=workshop.var)
    specs = {version.pk: InstanceSpec(version_id=version.pk, build=built.folder)}
    door = ChatDoor(agent=agent, port=0, token=chats.token(), find=specs.get)
    try:
        settings.CHAT_PORT = door.port
        settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"127.0.0.1:{door.port}"}
        chats.offer(version=version)
        auth = {"Authorization": f"Bearer {alice.key}"}
        with httpx.Client(base_url=f"{gateway}/api/v1", headers=auth, timeout=60) as http:
            [listed] = http.get("/models").json()["data"]
            assert listed["pricing"] == {"prompt": "0", "completion": "0", "hardware_ms": "0.0000001"}
            body = {"model": "demo/echo", "messages": [{"role": "user", "content": "word " * 28}], "stream": True}
            lines = http.post("/chat/completions", json=body | {"usage": {"include": True}}).text.splitlines()
            last = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")][-1]
            told = http.get("/generation", params={"id": last["id"]}).json()["data"]
    finally:
        door.close()
        agent.stop()
    ran = told["hardware_ms"]
    # Thirty words of ten milliseconds each, and not the start of the model before them.
    assert 300 <= ran < told["generation_time"] - told["latency"] / 2
    assert last["usage"]["cost"] == told["total_cost"] == pytest.approx(ran * 1e-7)
    charge = Charge.objects.get()
    assert (charge.amount_nano, charge.quantities["hardware_ms"]) == (ran * 100, ran)
    shares = {one["kind"]: (one["account_id"], one["amount_nano"]) for one in charge.shares}
    assert shares["provider_payable"] == (version.model.publisher.account_id, ran * 10)  # the royalty
    assert shares["platform_revenue"] == (None, ran * 90)


@needs_walls
def test_a_chat_goes_to_another_host_when_one_is_gone(
    gateway: str, alice: Buyer, workshop: Workshop, settings: Any
) -> None:
    built = workshop.build(EXAMPLES / "chat-echo")
    version = hosted(slug="echo", version_id=built.digest, schema=built.schema)
    specs = {version.pk: InstanceSpec(version_id=version.pk, build=built.folder)}
    doors: dict[str, tuple[Agent, ChatDoor]] = {}
    auth = {"Authorization": f"Bearer {alice.key}"}
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}
    try:
        for place in ("127.0.0.1", "127.0.0.2"):
            agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=workshop.var)
            door = ChatDoor(agent=agent, host=place, port=0, token=chats.token(), find=specs.get)
            doors[f"http://{place}:{door.port}/v1"] = agent, door
            settings.CHAT_HOST, settings.CHAT_PORT = place, door.port
            settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"{place}:{door.port}"}
            chats.offer(version=version) if place == "127.0.0.1" else chats.offer_here(version=version)
        with httpx.Client(base_url=f"{gateway}/api/v1", headers=auth, timeout=60) as http:
            for _ in range(2):
                answer = http.post("/chat/completions", json=body)
                assert answer.json()["choices"][0]["message"]["content"] == "You said: hello", answer.text
                row = Generation.objects.order_by("-created_at")[0]
                assert row.provider is not None
                agent, door = doors.pop(row.provider.base_url)  # the other answers the second
                door.close()
                agent.stop()
    finally:
        for agent, door in doors.values():
            door.close()
            agent.stop()
    assert not doors
