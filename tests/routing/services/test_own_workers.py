"""What hosts of ours say of their chats takes the place of what the router would learn, for as long as they say it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.lib.pool import run
from routing.adapters.capacity import Capacity
from routing.services import own_workers
from routing.services.health import HEALTH
from routing.simulation.app import Receive, Scope, Send
from routing.simulation.server import serving
from tests.factories.routing import endpoint


class SimulatedDoor:
    """A host's chat door that says what it is told to; its address."""

    def __init__(self) -> None:
        self.said: Any = {"free": 1, "versions": {}}
        self.asked: list[tuple[str, str]] = []
        self.base_url = ""

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["path"], headers["authorization"]))
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(self.said).encode()})


@pytest.fixture
def door(settings: Any) -> Iterator[SimulatedDoor]:
    made = SimulatedDoor()
    with serving(made.application) as port:
        settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"127.0.0.1:{port}"}
        made.base_url = f"http://127.0.0.1:{port}/v1"
        yield made


async def test_the_router_knows_places_others_calls_and_starts_until_the_host_falls_silent(
    door: SimulatedDoor, money: None
) -> None:
    made = await run(endpoint, door.base_url, provider="hosted@1", upstream="warm")
    other = await run(endpoint, door.base_url, provider="hosted@1", upstream="cold")
    await run(endpoint, door.base_url, provider="elsewhere", upstream="warm")
    [known] = await run(own_workers.doors)
    assert known.endpoints == {made.pk: "warm", other.pk: "cold"}
    warm, cold = HEALTH.router.standing(made.pk), HEALTH.router.standing(other.pk)
    mine = HEALTH.begin(made.pk, tokens=10)
    door.said = {"free": 0, "versions": {"warm": {"slots": 4, "taken": 4, "at_once": 4, "start_seconds": 9.0}}}
    await own_workers.ask(known)
    assert door.asked == [("/v1/capacity", "Bearer simulated")]
    assert (warm.capacity.slots, warm.capacity.queued) == (4, 3)  # of the four taken one is ours
    assert warm.capacity.wait() == pytest.approx(warm.capacity.seconds / 4)
    assert (cold.capacity.slots, cold.capacity.wait()) == (0, 20.0)  # the host has no place to start it
    door.said["versions"]["cold"] = {"slots": 0, "taken": 0, "at_once": 2, "start_seconds": 7.5}
    door.said["free"] = 1
    await own_workers.ask(known)
    assert (cold.capacity.slots, cold.capacity.wait()) == (2, 7.5)
    assert cold.line.level > 7.5
    door.said = {"free": -1}
    await own_workers.ask(known)
    assert (warm.capacity.slots, cold.capacity.wait()) == (None, 0.0)
    HEALTH.dropped(mine)


def test_a_host_without_a_place_serves_what_it_has_started_and_nothing_else() -> None:
    said = Capacity.model_validate({"free": 0, "versions": {"a": {"slots": 3, "taken": 1}, "b": {"start_seconds": 5}}})
    assert [said.of(version) for version in ("a", "b", "c")] == [(3, 1, 0.0), (0, 0, 5.0), (0, 0, 20.0)]
    assert Capacity(free=1).of("c") == (1, 0, 20.0)
