"""The demonstration's examples: built one after the other, shown with a prediction, and never twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from billing import invariants
from execution.agent.agent import Agent
from execution.builders import process
from execution.models import Build, Prediction
from execution.services import build_runs, examples, runs, showcase
from execution.services.showcase import Example
from marketplace.models import Account, Model
from tests.execution.workshop import EXAMPLES, needs_walls
from tests.factories.execution import hardware, payer

pytestmark = [needs_walls, pytest.mark.timeout(240), pytest.mark.django_db(transaction=True)]

HELLO = Example(
    folder="hello-text", title="Hello", description="Greets.", input={"times": 2}, texts={"text": "whom.txt"}
)


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("TURNPIKE_RUNTIME", "process")
    hardware()
    return payer(email="demo@example.com", slug="demo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of examples: hello-text alone."""
    shutil.copytree(EXAMPLES / "hello-text", tmp_path / "hello-text")
    (tmp_path / "hello-text" / "whom.txt").write_text("you")
    return tmp_path


@pytest.fixture
def working(agent: Agent) -> Callable[[float], None]:
    """What a worker does while somebody waits."""

    def work(_: float) -> None:
        for build in Build.objects.filter(status="queued"):
            build_runs.run(build_id=build.pk, owner="test")
        for row in Prediction.objects.filter(status="starting"):
            runs.work(agent=agent, prediction_id=row.pk, hardware="cpu", owner="test")

    return work


def test_an_example_is_built_and_shows_a_prediction_once(
    maker: Account, folder: Path, working: Callable[[float], None]
) -> None:
    for _ in range(2):
        told = showcase.present(account=maker, example=HELLO, folder=folder, pause=working)
        model = Model.objects.get(slug="hello-text", publisher__account=maker)
        assert told == f"is version {model.versions.get().pk[:12]}."
    assert (model.name, model.description) == ("Hello", "Greets.")
    assert (Build.objects.count(), Prediction.objects.count()) == (1, 1)
    shown = examples.defaults(model_ids=[model.pk])[model.pk]
    assert (shown.input["text"], shown.output) == ("you", ["hello you, ", "hello you"])
    assert invariants.run() == []


def test_what_the_host_lacks_is_said_on_the_models_page_until_it_is_there(
    maker: Account, folder: Path, working: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, client
) -> None:
    config = folder / "hello-text" / "cog.yaml"
    config.write_text(config.read_text().replace("build:\n", "build:\n  system_packages: [no-such-voice, dpkg]\n"))
    told = showcase.present(account=maker, example=HELLO, folder=folder, pause=working)
    assert told.startswith("It is not built yet: this host lacks the system package no-such-voice. Install")
    assert not Build.objects.exists()
    page = client.get("/demo/hello-text").content.decode()
    assert "apt-get install -y --no-install-recommends no-such-voice" in page
    monkeypatch.setattr(process, "lacking", lambda config: [])  # as after apt-get
    unshown = HELLO.model_copy(update={"input": None})
    assert "is version" in showcase.present(account=maker, example=unshown, folder=folder, pause=working)
    assert Model.objects.get(slug="hello-text").description == "Greets."


def test_one_to_be_built_by_hand_is_listed_and_left_alone(
    maker: Account, folder: Path, working: Callable[[float], None]
) -> None:
    large = HELLO.model_copy(update={"by_hand": "It is large: publish it yourself."})
    assert showcase.present(account=maker, example=large, folder=folder, pause=working) == large.by_hand
    Model.objects.filter(slug="hello-text").update(description="Mine now.")
    showcase.present(account=maker, example=large, folder=folder, pause=working)
    assert Model.objects.get(slug="hello-text").description == "Mine now."
    assert not Build.objects.exists()


def test_the_list_names_every_example_and_the_files_that_it_shows() -> None:
    listed = showcase.read(EXAMPLES)
    assert {one.folder for one in listed} == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    for one in listed:
        for name in (*one.files.values(), *one.texts.values()):
            assert (EXAMPLES / one.folder / name).is_file(), (one.folder, name)
