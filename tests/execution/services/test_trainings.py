"""Trainings on real processes: from the data to a version that predicts with its weights, and every other end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import invariants
from billing.models import Charge, Hold, LedgerAccount, Wallet
from execution import limits
from execution.agent.agent import Agent
from execution.builders import process
from execution.builders.base import Built
from execution.models import File, Prediction
from execution.services import (
    attempts,
    builds,
    files,
    host,
    listings,
    predictions,
    retention,
    runs,
    trained,
    trainings,
    upkeep,
    versions,
)
from marketplace.lib.errors import Conflict, NotFound, Unprocessable
from marketplace.models import Account, Model, Version
from tests.factories import execution as factory
from tests.factories.execution import hosted, payer, predict

pytestmark = pytest.mark.django_db(transaction=True)

TRAINER = {
    "cog.yaml": """
build:
  python_version: "3.11"
run: "run.py:Runner"
train: "train.py:train"
concurrency:
  max: 2
""",
    "run.py": """
from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self, weights: str = "") -> None:
        self.word = open(weights).read() if weights else "untrained"

    async def run(self, text: str) -> str:
        return f"{self.word}: {text}"
""",
    "train.py": """
import time
from typing import Optional

from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Optional[Path] = None
    length: int = 0


def train(
    data: Path,
    seconds: float = Input(default=0.0, le=60.0),
    ends: str = Input(default="well"),
) -> TrainingOutput:
    word = open(data).read().strip()
    print(f"learning {word}", flush=True)
    for _ in range(round(seconds / 0.05)):
        time.sleep(0.05)
    if ends == "badly":
        raise ValueError("the data are dull")
    where = Path("/tmp/word.txt")
    where.write_text(word)
    return TrainingOutput(weights=where if ends == "well" else None, length=len(word))
""",
}


@pytest.fixture(autouse=True)
def _books_are_right() -> Iterator[None]:
    yield
    assert invariants.run() == []


@pytest.fixture(scope="session")
def trainer_build(tmp_path_factory: pytest.TempPathFactory) -> Built:
    source = tmp_path_factory.mktemp("trainer")
    for name, text in TRAINER.items():
        (source / name).write_text(text)
    var = Path(settings.VAR)
    (var / "builds").mkdir(parents=True, exist_ok=True)
    return process.build(source=source, target=var / "builds" / "trainer", var=var, log=lambda line: None)


@pytest.fixture
def trainer(trainer_build: Built, transactional_db: None) -> Version:
    """A public model of demo's that can be trained; its publisher gets a tenth."""
    version = hosted(slug="trainer", schema=trainer_build.schema, version_id=trainer_build.digest)
    Version.objects.filter(pk=version.pk).update(build_path=trainer_build.folder.name)
    version.refresh_from_db()
    return version


@pytest.fixture
def ada(trainer: Version) -> Account:
    """A customer with a private model of her own that has no version yet."""
    made = payer(email="ada@example.com", slug="ada")
    given = {"owner": "ada", "name": "mine", "visibility": "private", "hardware": "cpu"}
    listings.create(account=made, given=given)
    return made


def train(by: Account, version: Version, word: str = "ahoy", **given: Any) -> Prediction:
    more = {name: given.pop(name) for name in ("destination",) if name in given}
    return factory.train(by, version, given={"data": f"data:text/plain,{word}", **given}, **more)


def work(agent: Agent, row: Prediction) -> Prediction:
    runs.work(agent=agent, prediction_id=row.pk, hardware="cpu", owner="test")
    return Prediction.objects.get(pk=row.pk)


def test_a_training_makes_a_version_that_predicts_with_its_weights(
    agent: Agent, trainer: Version, ada: Account
) -> None:
    done = work(agent, train(ada, trainer, seconds=0.3))
    assert (done.status, done.error) == ("succeeded", None), done.logs
    assert "learning ahoy" in done.logs
    assert 300 <= done.run_ms < 30_000
    made = Version.objects.get(model__slug="mine")
    assert (made.trained_from, made.model.publisher.slug) == (trainer, "ada")
    weights = files.mark(File.objects.get(prediction=done))
    assert done.output == {"version": f"ada/mine:{made.pk}", "length": 4, "weights": weights}

    charge = Charge.objects.get(kind="training", reference=done.pk)
    assert charge.amount_nano == done.amount_nano == done.run_ms * 100
    royalties = [share["amount_nano"] for share in charge.shares if share["kind"] == "publisher_payable"]
    assert royalties == [round(charge.amount_nano / 10)]

    answers = [work(agent, predict(ada, version, given={"text": "you"})) for version in (made, trainer)]
    assert [one.output for one in answers] == ["ahoy: you", "untrained: you"], [one.error for one in answers]
    counts = {row.slug: getattr(row, "run_count", None) for row in listings.listed(account_id=ada.pk)}
    assert counts == {"trainer": 1, "mine": 1}  # trainings are no runs of a model


def test_a_training_leaves_no_instance_and_finds_none_warm(agent: Agent, trainer: Version, ada: Account) -> None:
    work(agent, predict(ada, trainer, given={"text": "you"}))
    warm = [one["id"] for one in agent.describe()["instances"] if one["version"] == trainer.pk]
    work(agent, train(ada, trainer))
    left = [one for one in agent.describe()["instances"] if one["version"] == trainer.pk]
    assert [(one["id"], one["trains"]) for one in left] == [(one, False) for one in warm]


def test_the_two_versions_are_deleted_apart(agent: Agent, trainer: Version, ada: Account) -> None:
    work(agent, train(ada, trainer))
    made = Version.objects.get(model__slug="mine")
    folder = builds.folder(made.build_path)
    assert (folder / "weights/word.txt").read_text() == "ahoy"
    versions.delete(account_id=ada.pk, owner="ada", name="mine", version_id=made.pk)
    versions.remove_build(version_id=made.pk)
    assert not folder.exists()
    assert (builds.folder(trainer.build_path) / "src/train.py").exists()
    with pytest.raises(Conflict, match="destination"):
        listings.delete(account_id=ada.pk, owner="ada", name="mine")


@pytest.mark.parametrize(("ends", "says"), [("badly", "the data are dull"), ("without", "no weights file")])
def test_a_training_that_fails_says_why_and_makes_no_version(
    agent: Agent, trainer: Version, ada: Account, ends: str, says: str
) -> None:
    done = work(agent, train(ada, trainer, ends=ends))
    assert (done.status, says in str(done.error)) == ("failed", True), done.error
    assert not str(done.error).startswith("Training failed")
    assert done.amount_nano == done.run_ms * 100
    assert not Version.objects.filter(model__slug="mine").exists()


def test_a_canceled_training_is_charged_up_to_its_cancel(agent: Agent, trainer: Version, ada: Account) -> None:
    row = train(ada, trainer, seconds=30)
    thread = threading.Thread(target=_worked, args=(agent, row))
    thread.start()
    try:
        _until(lambda: "learning" in Prediction.objects.get(pk=row.pk).logs)
        ended = trainings.cancel(account_id=ada.pk, training_id=row.pk)
    finally:
        thread.join(30)
    assert not thread.is_alive()
    assert ended.status == "canceled"
    assert 0 < ended.run_ms < 30_000
    assert ended.amount_nano == ended.run_ms * 100
    assert not Version.objects.filter(model__slug="mine").exists()


def test_a_training_that_was_ended_meanwhile_leaves_no_version_and_no_files(
    agent: Agent, trainer: Version, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = train(ada, trainer)
    pick = trained.pick

    def overtaken(*given: Any) -> Any:
        fruit = pick(*given)
        trainings.cancel(account_id=ada.pk, training_id=row.pk)
        return fruit

    monkeypatch.setattr(trained, "pick", overtaken)
    assert work(agent, row).status == "canceled"
    assert not Version.objects.filter(model__slug="mine").exists()
    assert list((Path(settings.VAR) / "builds").glob(f"{row.pk}-*")) == []


def _worked(agent: Agent, row: Prediction) -> None:
    try:
        work(agent, row)
    finally:
        connection.close()


def _until(holds: Any, seconds: float = 30) -> None:
    waited = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        waited.wait(0.05)
    raise AssertionError("it did not come to be")


def test_trainings_leave_a_place_for_predictions(agent: Agent, trainer: Version, ada: Account) -> None:
    spec = host.spec_of(trainer, trains="another")
    first = agent.acquire(spec)  # of two places
    assert first is not None
    with first:
        assert agent.acquire(spec) is None
        waiting, short = train(ada, trainer), predict(ada, trainer, given={"text": "you"})
        assert work(agent, waiting).status == "starting"
        # The doorbell of the training that found no place served the prediction behind it.
        assert Prediction.objects.get(pk=short.pk).status == "succeeded"
    assert work(agent, waiting).status == "succeeded"


def test_a_lost_workers_training_begins_anew_and_fails_after_three(trainer: Version, ada: Account) -> None:
    row = train(ada, trainer)
    for number in range(3):
        attempt = attempts.begin(prediction_id=row.pk, owner=f"w{number}", hardware="cpu")
        assert attempt is not None
        attempts.started(attempt)
        upkeep.poll(now=timezone.now() + limits.LEASE * 2)
    row.refresh_from_db()
    assert (row.status, row.amount_nano, row.run_ms) == ("failed", 0, 0)
    assert "worker that ran this training was lost (attempt 3 of 3" in str(row.error)
    assert Wallet.objects.get(account=ada).held_nano == 0


def test_the_hold_is_the_trainings_and_is_extended_while_it_runs(trainer: Version, ada: Account) -> None:
    row = train(ada, trainer)
    assert Hold.objects.get(reference=row.pk).kind == "training"
    attempt = attempts.begin(prediction_id=row.pk, owner="w", hardware="cpu")
    assert attempt is not None
    attempts.started(attempt)
    assert attempts.heartbeat(attempt, elapsed_ms=50_000)
    row.refresh_from_db()
    assert row.covered_ms == 110_000
    trainings.cancel(account_id=ada.pk, training_id=row.pk)


@pytest.mark.parametrize("named", ["demo/trainer", "ada/none", "eve/hers", "mine", "", None, 3])
def test_the_destination_is_a_model_of_ones_own(trainer: Version, ada: Account, named: Any) -> None:
    eve = payer(email="eve@example.com", slug="eve")
    given = {"owner": "eve", "name": "hers", "visibility": "public", "hardware": "cpu"}
    listings.create(account=eve, given=given)
    with pytest.raises(Unprocessable, match="destination"):
        train(ada, trainer, destination=named)
    assert not Prediction.objects.exists()
    assert Wallet.objects.get(account=ada).held_nano == 0


def test_the_input_is_the_train_functions_own(trainer: Version, ada: Account) -> None:
    with pytest.raises(Unprocessable, match=r"text is not allowed \(inputs of this version: data, seconds, ends\)"):
        train(ada, trainer, text="you")
    with pytest.raises(Unprocessable, match=r"less than or equal to 60"):
        train(ada, trainer, seconds=61)
    with pytest.raises(Unprocessable, match="names no train function"):
        train(ada, hosted(slug="plain"))


def test_kinds_are_found_and_listed_apart(trainer: Version, ada: Account) -> None:
    trained, predicted = train(ada, trainer), predict(ada, trainer)
    assert [one.pk for one in trainings.listed(account_id=ada.pk)] == [trained.pk]
    assert [one.pk for one in predictions.listed(account_id=ada.pk)] == [predicted.pk]
    with pytest.raises(NotFound):
        trainings.find(account_id=ada.pk, training_id=predicted.pk)
    with pytest.raises(NotFound):
        predictions.cancel(account_id=ada.pk, prediction_id=trained.pk)


def test_weights_outlive_the_data_of_their_training(agent: Agent, trainer: Version, ada: Account) -> None:
    done = work(agent, train(ada, trainer))
    assert retention.remove_old_data(now=timezone.now() + limits.API_RETENTION * 2) == 1
    done.refresh_from_db()
    assert (done.data_removed, done.output) == (True, None)
    made = Model.objects.get(slug="mine").versions.get()
    assert work(agent, predict(ada, made, given={"text": "you"})).output == "ahoy: you"


def test_the_publisher_of_the_code_is_who_must_be_trusted(
    agent: Agent, trainer: Version, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(agent, train(ada, trainer))
    made = Model.objects.get(slug="mine").versions.get()
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104
    Account.objects.filter(slug="demo").update(is_trusted=True)
    assert predict(ada, made, given={"text": "you"}).status == "starting"


def test_the_books_name_the_publisher(trainer: Version, ada: Account) -> None:
    """A hold that ends without a run leaves nothing behind."""
    row = train(ada, trainer)
    trainings.cancel(account_id=ada.pk, training_id=row.pk)
    assert not Charge.objects.exists()
    assert not LedgerAccount.objects.filter(kind=LedgerAccount.Kind.PUBLISHER_PAYABLE).exists()
