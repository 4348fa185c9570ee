"""From an upload to a paid run and a training, with an engine: nothing else on the way knows of containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings

from billing import invariants
from execution.agent.agent import Agent
from execution.models import File, Prediction
from execution.scheduling.seats import Capacity
from execution.services import builds, files, folders, runs, versions
from marketplace.models import Version
from tests.factories.execution import hardware, payer, predict, train
from tests.factories.marketplace import account
from tests.servers.docker import DockerEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


SOURCES = {
    "cog.yaml": """
build:
  python_version: "3.11"
  python_packages: ["six==1.17.0 --no-deps"]
run: "run.py:Runner"
train: "train.py:train"
""",
    "run.py": """
import six
from cog import BaseRunner, ConcatenateIterator


class Runner(BaseRunner):
    def setup(self, weights: str = "") -> None:
        self.word = open(weights).read() if weights else "hello"

    def run(self, text: str, times: int = 1) -> ConcatenateIterator[str]:
        for number in range(times):
            print(f"greeting {number + 1} of {times}")
            yield f"{self.word} {text}"
""",
    "train.py": """
import six
from cog import BaseModel, Path


class TrainingOutput(BaseModel):
    weights: Path
    length: int


def train(data: Path) -> TrainingOutput:
    word = open(data).read()
    print(f"learning {word}")
    where = Path("/tmp/word.txt")
    where.write_text(word)
    return TrainingOutput(weights=where, length=len(word))
""",
}


def test_an_upload_is_built_run_and_trained_in_containers_and_charged(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    hardware()
    maker = account(email="maker@example.com", slug="maker")
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    version = folders.publish(account=maker, slug="hello", folder=tmp_path)
    record = json.loads((settings.VAR / "builds" / version.build_path / "build.json").read_text())
    assert (record["kind"], record["digest"]) == ("docker", version.pk)
    ada = payer(email="ada@example.com", slug="ada")
    agent = Agent(hardware="cpu", capacity=Capacity(seats=1), var=settings.VAR, kind="host")

    def work(row: Prediction) -> Prediction:
        assert runs.work(agent=agent, prediction_id=row.pk, hardware="cpu", owner="test") == 1
        found = Prediction.objects.get(pk=row.pk)
        assert (found.status, found.error) == ("succeeded", None), found.logs
        assert found.amount_nano == found.run_ms * 100
        return found

    try:
        assert agent.describe()["isolation"] in ("container", "gvisor")
        ran = work(predict(ada, version, given={"text": "you", "times": 2}))
        assert (ran.output, ran.logs) == (["hello you", "hello you"], "greeting 1 of 2\ngreeting 2 of 2\n")
        learnt = work(train(ada, version, given={"data": "data:text/plain,ahoy"}))
        assert "learning ahoy" in learnt.logs
        assert agent.describe()["instances"] == []  # it took the only place, and its container went with it
        made = Version.objects.get(model__publisher__slug="ada")
        weights = files.mark(File.objects.get(prediction=learnt))
        assert learnt.output == {"version": f"ada/mine:{made.pk}", "weights": weights, "length": 4}
        assert work(predict(ada, made, given={"text": "you"})).output == ["ahoy you"]
    finally:
        agent.stop()
    # The engine has one image under two names; each goes by itself.
    versions.delete(account_id=ada.pk, owner="ada", name="mine", version_id=made.pk)
    versions.remove_build(version_id=made.pk)
    assert not builds.folder(made.build_path).exists()
    assert builds.folder(version.build_path).exists()
    assert invariants.run() == []
