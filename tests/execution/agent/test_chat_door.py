"""The door to servers of chats: a real one, built and started, streams through it; others are kept out."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from execution.agent.agent import Agent
from execution.agent.chat_door import CAPACITY, PATH, ChatDoor
from execution.runtimes.base import InstanceSpec
from execution.scheduling.seats import Capacity
from tests.execution.workshop import EXAMPLES, Workshop, needs_walls
from tests.servers.system import wait_until

pytestmark = [needs_walls, pytest.mark.timeout(120)]

TOKEN = "the-sites-own"
SAYS_NO_MORE = """
    import os, socket
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    while True:
        near, _ = listener.accept()
        asked = near.recv(65536)
        if b"/v1/models" in asked:
            near.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
        near.close()
"""
CONFIG = """
    build: {python_version: "3.11"}
    chat: {server: server.py, context_length: 100, prompt: "0", completion: "0"}
"""


@pytest.fixture
def agent(workshop: Workshop) -> Iterator[Agent]:
    made = Agent(hardware="cpu", capacity=Capacity(seats=1), var=workshop.var)
    made.start()
    yield made
    made.stop()
    deadline = time.monotonic() + 30
    while any((workshop.var / "instances").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
def door(workshop: Workshop, agent: Agent) -> Iterator[httpx.Client]:
    """A caller with the token; `echo` and `mute` are versions, one slot is there."""
    sources: dict[str, Any] = {
        "echo": EXAMPLES / "chat-echo",
        "mute": {"cog.yaml": CONFIG, "server.py": SAYS_NO_MORE},
        "broken": {"cog.yaml": CONFIG, "server.py": "raise SystemExit('no weights')"},
    }

    def find(name: str) -> InstanceSpec | None:
        source = sources.get(name)
        return InstanceSpec(version_id=name, build=workshop.build(source).folder) if source else None

    made = ChatDoor(agent=agent, port=0, token=TOKEN, find=find)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{made.port}", headers=headers, timeout=60) as client:
        yield client
    made.close()


def chat(text: str, *, model: str = "echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def test_a_chat_is_answered_plainly_and_streamed_by_one_warm_instance(door: httpx.Client, agent: Agent) -> None:
    assert door.get(CAPACITY).json() == {"free": 1, "versions": {}}
    plain = door.post(PATH, json=chat("hello there", max_tokens=3)).json()
    assert plain["choices"][0]["message"]["content"] == "You said: hello"
    assert plain["choices"][0]["finish_reason"] == "length"
    assert plain["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    [first] = agent.describe()["instances"]
    asked = chat("one two three", stream=True, stream_options={"include_usage": True})
    times, events = [], []
    with door.stream("POST", PATH, json=asked) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line:
                times.append(time.monotonic())
                events.append(line.removeprefix("data: "))
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event) for event in events[:-1]]
    said = "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces[:-1])
    assert said == "You said: one two three"
    assert pieces[-1]["usage"]["completion_tokens"] == 5
    assert times[-1] > times[0]  # in pieces, not at once
    [second] = agent.describe()["instances"]
    assert (second["pid"], second["running"]) == (first["pid"], 0)
    told = door.get(CAPACITY).json()["versions"]["echo"]
    assert (told["slots"], told["taken"], told["at_once"]) == (4, 0, 4)
    assert 0 < told["start_seconds"] < 60


def test_others_are_kept_out(door: httpx.Client) -> None:
    assert door.post(PATH, json=chat("a"), headers={"Authorization": "Bearer another"}).status_code == 401
    assert door.get(CAPACITY, headers={"Authorization": "Bearer another"}).status_code == 401
    assert door.post("/v1/models", json=chat("a")).status_code == 404
    assert door.get("/v1/models").status_code == 404
    assert door.post(PATH, json=chat("a", model="nobody")).status_code == 404
    assert door.post(PATH, content=b"[]").status_code == 400


def test_without_a_slot_the_router_is_told_to_look_elsewhere(
    door: httpx.Client, agent: Agent, workshop: Workshop
) -> None:
    spec = InstanceSpec(version_id="other", build=workshop.build(EXAMPLES / "chat-echo").folder)
    kept = agent.keep(spec, pool="somebody's")
    assert kept is not None
    refused = door.post(PATH, json=chat("a"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    kept.let_go()
    assert door.post(PATH, json=chat("a")).status_code == 200


def test_a_server_that_does_not_start_or_answer_is_no_answer(door: httpx.Client, agent: Agent) -> None:
    broken = door.post(PATH, json=chat("a", model="broken"))
    assert (broken.status_code, "ended during its start" in broken.json()["error"]["message"]) == (503, True)
    wait_until(lambda: not agent.describe()["instances"], within=5, what="the broken one to leave its place")
    assert door.post(PATH, json=chat("a", model="mute")).status_code == 502


def test_a_run_is_measured_on_the_instance_and_ends_when_its_time_is_over(door: httpx.Client) -> None:
    door.post(PATH, json=chat("a"))  # the start of the model is nobody's time
    told = []
    for name, text in (("one", "a"), ("two", "word " * 30)):
        began = time.monotonic()
        assert door.post(PATH, json=chat(text), headers={"Turnpike-Run": name}).status_code == 200
        told.append(door.get(f"/v1/runs/{name}").json()["milliseconds"])
        assert 0 < told[-1] <= (time.monotonic() - began) * 1000
    assert told[1] >= 320  # words of ten milliseconds each at least
    assert door.get("/v1/runs/other").status_code == 404
    assert door.get("/v1/runs/one", headers={"Authorization": "Bearer another"}).status_code == 401
    bounds = {"Turnpike-Run": "long", "Turnpike-Most-Ms": "1000"}
    with door.stream("POST", PATH, json=chat("word " * 500, stream=True), headers=bounds) as answer:
        lines = answer.iter_lines()
        with contextlib.suppress(httpx.RemoteProtocolError):
            assert "[DONE]" not in "".join(lines)
    assert 0 < door.get("/v1/runs/long").json()["milliseconds"] <= 1000


def test_a_caller_that_goes_away_gives_its_place_back(door: httpx.Client, agent: Agent) -> None:
    long = chat("word " * 1_000, stream=True)
    with door.stream("POST", PATH, json=long) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert agent.describe()["instances"][0]["running"] == 1
    deadline = time.monotonic() + 30
    while agent.describe()["instances"][0]["running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert agent.describe()["instances"][0]["running"] == 0
