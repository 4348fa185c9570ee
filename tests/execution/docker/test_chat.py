"""A server of chats in a container: the same door, the same agent, another body."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from execution.agent.agent import Agent
from execution.agent.chat_door import PATH, ChatDoor
from execution.runtimes.base import InstanceSpec
from execution.scheduling.seats import Capacity
from tests.execution.docker.conftest import Yard
from tests.servers.system import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def test_a_chat_is_answered_and_streamed_from_a_container(yard: Yard, tmp_path: Path) -> None:
    spec = InstanceSpec(version_id="echo", build=yard.build(ROOT / "examples" / "chat-echo").folder)
    agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=tmp_path, kind="docker")
    door = ChatDoor(agent=agent, port=0, token="t", find=lambda name: spec if name == "echo" else None)
    asked = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{door.port}", headers={"Authorization": "Bearer t"}, timeout=60
        ) as client:
            plain = client.post(PATH, json=asked)
            assert plain.status_code == 200, plain.text
            assert plain.json()["choices"][0]["message"]["content"] == "You said: one two"
            [one] = agent.describe()["instances"]
            with client.stream("POST", PATH, json=asked | {"stream": True}) as answer:
                lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
            said = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines[:-1]]
            assert ("".join(said), lines[-1]) == ("You said: one two", "[DONE]")
            assert agent.describe()["instances"][0]["id"] == one["id"]  # warm
            told = client.get("/v1/capacity").json()["versions"]["echo"]
            assert (told["slots"], told["at_once"], told["taken"]) == (4, 4, 0)
        assert agent.describe()["isolation"] in ("container", "gvisor")
    finally:
        door.close()
        agent.stop()
