"""From an upload to a paid run, with an engine: nothing else on the way knows of containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings

from billing import invariants
from execution.agent.agent import Agent
from execution.scheduling.seats import Capacity
from execution.services import folders, runs
from tests.factories.execution import hardware, payer, predict
from tests.factories.marketplace import account
from tests.servers.docker import DockerEngine
from tests.servers.system import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_an_upload_is_built_and_run_in_a_container_and_charged(docker_engine: DockerEngine, tmp_path: Path) -> None:
    hardware()
    maker = account(email="maker@example.com", slug="maker")
    example = ROOT / "examples" / "hello-text"
    (tmp_path / "run.py").write_text("import six\n" + (example / "run.py").read_text())
    config = (example / "cog.yaml").read_text()
    packages = 'build:\n  python_packages: ["six==1.17.0 --no-deps"]\n'
    (tmp_path / "cog.yaml").write_text(config.replace("build:\n", packages))
    version = folders.publish(account=maker, slug="hello", folder=tmp_path)
    record = json.loads((settings.VAR / "builds" / version.build_path / "build.json").read_text())
    assert (record["kind"], record["digest"]) == ("docker", version.pk)
    prediction = predict(payer(), version, given={"text": "you", "times": 2})
    agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=settings.VAR, kind="host")
    try:
        assert agent.describe()["isolation"] in ("container", "gvisor")
        assert runs.work(agent=agent, prediction_id=prediction.pk, hardware="cpu", owner="test") == 1
    finally:
        agent.stop()
    prediction.refresh_from_db()
    assert (prediction.status, prediction.output) == ("succeeded", ["hello you, ", "hello you"]), prediction.error
    assert prediction.logs == "greeting 1 of 2\ngreeting 2 of 2\n"
    assert prediction.amount_nano == prediction.run_ms * 100
    assert invariants.run() == []
