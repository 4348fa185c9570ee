"""Hosts that share the file storage and no disk: what one has built another makes again, the same or not at all."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from billing import invariants
from billing.models import Charge
from execution.agent.agent import Agent
from execution.builders.base import Built
from execution.models import Build, Prediction
from execution.scheduling.seats import Capacity
from execution.services import builds, copies, files, folders, recipes, runs, trained, versions
from execution.services.porter import Porter
from marketplace.models import Account, Model, Version
from tests.execution.conftest import EXAMPLES
from tests.factories.execution import hardware, payer, predict, train, trainable

pytestmark = pytest.mark.django_db(transaction=True)


class Host:
    """Another host: folders of its own, and the same database and file storage as all."""

    def __init__(self, var: Path, *, home: Path) -> None:
        self.var, self.home = var, home
        self.made: list[str] = []
        self.agent = Agent(hardware="cpu", capacity=Capacity(seats=2), var=var)

    def run(self, row: Prediction) -> Prediction:
        runs.work(agent=self.agent, prediction_id=row.pk, hardware="cpu", owner="other host")
        return Prediction.objects.get(pk=row.pk)

    def run_all(self, rows: list[Prediction]) -> list[Prediction]:
        """All at once, as the worker's threads do."""

        def one(row: Prediction) -> None:
            try:
                self.run(row)
            finally:
                connection.close()

        threads = [threading.Thread(target=one, args=(row,)) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [Prediction.objects.get(pk=row.pk) for row in rows]


@pytest.fixture(scope="session")
def other_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other host's disk: the packages stay there from test to test, as on a host."""
    return tmp_path_factory.mktemp("other-host")


@pytest.fixture
def version(hello_build: Built) -> Version:
    """hello-text as somebody published it on this host."""
    hardware()
    maker = payer("0", email="maker@example.com", slug="maker")
    return folders.publish(account=maker, slug="hello", folder=EXAMPLES / "hello-text")


@pytest.fixture
def other(version: Version, other_var: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """From here on the test is on the other host."""
    host = Host(other_var, home=settings.VAR)
    settings.VAR = other_var
    make: Callable[..., None] = copies._make

    def counted(version: Version, *rest: Any) -> None:
        host.made.append(version.pk)
        make(version, *rest)

    monkeypatch.setattr(copies, "_make", counted)
    yield host
    host.agent.stop()


def bring(version: Version) -> None:
    copies.bring(version=version, log=lambda line: None, is_canceled=lambda: False)


def with_var(folder: Path) -> None:
    """On the host that has this folder; the fixture `settings` puts it back."""
    django_settings.VAR = folder


def test_what_one_host_built_runs_on_another_that_makes_it_once(version: Version, other: Host) -> None:
    who = payer()
    rows = other.run_all([predict(who, version, given={"text": text}) for text in "ab"])
    assert [(row.status, row.output, row.version_id) for row in rows] == [
        ("succeeded", [f"hello {text}"], version.pk) for text in "ab"
    ]
    assert other.made == [version.pk]  # the other waited for it
    assert (other.var / "builds" / version.build_path / "build.json").is_file()
    assert sorted(Charge.objects.values_list("reference", "amount_nano")) == sorted(
        (row.pk, row.run_ms * 100) for row in rows
    )
    assert invariants.run() == []
    later = other.run(predict(who, version, given={"text": "c"}))
    assert (later.status, other.made) == ("succeeded", [version.pk])


def test_a_damaged_archive_is_refused_until_the_same_folder_is_published_again(version: Version, other: Host) -> None:
    build = Build.objects.get()
    whole = Path(default_storage.path(build.source_path)).read_bytes()
    Path(default_storage.path(build.source_path)).write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    who = payer()
    row = other.run(predict(who, version))
    assert (row.status, row.attempts, row.amount_nano) == ("failed", 3, 0)
    assert row.error is not None
    assert "archive of its sources is damaged" in row.error
    assert "publish the same folder again" in row.error
    assert list((other.var / "builds").glob(f"*{version.build_path}*")) == []
    folders.queue(account=build.account, slug="hello", folder=EXAMPLES / "hello-text")
    fresh = Build.objects.latest("created_at")
    Build.objects.filter(pk=fresh.pk).update(status="succeeded", version=version)  # as the host that has it ends it
    bring(version)
    assert copies.is_here(version)


def test_what_is_not_the_same_build_is_refused(version: Version, other: Host) -> None:
    path = f"builds/{version.pk}/recipe.json"
    with default_storage.open(path) as file:
        found = json.loads(file.read())
    changes = [
        ({"python_version": "3.11.0"}, "digest"),
        ({"kind": "magic"}, "damaged"),
        ({"packages": None}, "damaged"),
    ]
    for change, says in changes:
        default_storage.delete(path)
        default_storage.save(path, ContentFile(json.dumps(found | change).encode()))
        with pytest.raises(copies.CannotCopy, match=says):
            bring(version)
        assert not copies.is_here(version)
    recipes.forget(version.pk)
    row = other.run(predict(payer(), version))
    assert (row.status, row.amount_nano) == ("failed", 0)
    assert "kept nothing of it" in (row.error or "")


def test_weights_of_a_training_are_brought_with_the_code_and_only_as_they_were(version: Version, other: Host) -> None:
    ada = payer(email="ada@example.com", slug="ada")
    row = train(ada, trainable())
    Prediction.objects.filter(pk=row.pk).update(version=version)
    row.refresh_from_db()
    file = files.store(
        account_id=ada.pk, content=io.BytesIO(b"ahoy"), name="word.txt", content_type="text/plain", prediction_id=row.pk
    )
    with_var(other.home)
    fruit = trained.pick(row, {"weights": files.mark(file)})
    fruit.publish()
    fruit.keep()
    files.delete(file)  # as retention does, an hour later
    with_var(other.var)
    made = Version.objects.get(pk=fruit.version.pk)
    bring(made)
    folder = builds.folder(made.build_path)
    assert (folder / "weights/word.txt").read_text() == "ahoy"
    assert json.loads((folder / "build.json").read_text())["weights"] == "weights/word.txt"
    builds.discard(folder)
    Path(default_storage.path(recipes.weights_path(made.pk))).write_bytes(b"ahoi")
    with pytest.raises(copies.CannotCopy, match="weights are damaged: train it again"):
        bring(made)
    assert not folder.exists()


def test_a_deleted_version_goes_from_every_host_and_comes_back_when_it_is_published_again(
    version: Version, other: Host
) -> None:
    bring(version)
    maker = Account.objects.get(slug="maker")
    Model.objects.update(visibility="private")
    versions.delete(account_id=maker.pk, owner="maker", name="hello", version_id=version.pk)
    assert copies.is_here(version)
    Porter().tick()
    assert not copies.is_here(version)
    with_var(other.home)
    versions.remove_build(version_id=version.pk)  # the host that was told
    assert not copies.is_here(version)
    assert not default_storage.exists(f"builds/{version.pk}/recipe.json")
    again = folders.publish(account=maker, slug="hello", folder=EXAMPLES / "hello-text")
    assert (again.pk, again.deleted_at) == (version.pk, None)
    assert copies.is_here(again)
    with_var(other.var)
    bring(again)
