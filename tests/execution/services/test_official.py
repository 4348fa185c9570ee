"""Official models: who may be one, and a warm pool of real instances that nobody has asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from execution.agent.agent import Agent
from execution.models import Prediction
from execution.scheduling.seats import Capacity
from execution.services import hosts, official, runs, warm_pool
from execution.services.hosts import Voice, Worker
from execution.services.warm_pool import WarmPool
from marketplace.lib.errors import Unprocessable
from marketplace.models import Model, Version
from tests.factories import marketplace as make
from tests.factories.execution import hosted, payer, predict
from tests.servers.system import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Host:
    """A worker of its own: agent, pool and voice, with a clock that tests move."""

    def __init__(self, name: str, *, seats: int = 2) -> None:
        self.now = 1_000.0
        self.agent = Agent(
            hardware="cpu", capacity=Capacity(seats=seats), var=Path(settings.VAR) / name, clock=lambda: self.now
        )
        worker = Worker(name=name, hardware="cpu", queue=f"at-{name}")
        self.pool = WarmPool(agent=self.agent, worker=worker)
        self.voice = Voice(worker=worker, agent=self.agent)

    def second(self) -> None:
        self.pool.tick()
        self.voice.say()

    def warm(self) -> list[str]:
        """The versions of idle started instances."""
        return [one["version"] for one in self.agent.describe()["instances"] if one["state"] == "idle"]

    def settle(self, *versions: str) -> None:
        """Until exactly these are warm."""
        self.second()
        wait_until(lambda: self.warm() == list(versions), within=20, what=f"{versions} to be warm")


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def start(name: str, *, seats: int = 2) -> Host:
        made.append(Host(name, seats=seats))
        return made[-1]

    yield start
    for one in made:
        one.agent.stop()


def run(agent: Agent, version: Version) -> Prediction:
    made = predict(payer(email="p@example.com", slug="p"), version, given={"text": "a"})
    assert runs.work(agent=agent, prediction_id=made.pk, hardware="cpu", owner="test") == 1
    made.refresh_from_db()
    return made


def test_an_official_model_is_warm_before_anybody_asks_and_again_on_another_worker(
    host: Callable[..., Host], hello: Version
) -> None:
    first = host("first")
    first.second()
    assert first.agent.describe()["instances"] == []
    official.mark(model=hello.model, warm_instances=1)
    first.settle(hello.pk)
    assert not Prediction.objects.exists()
    [instance] = first.agent.describe()["instances"]
    first.second()
    assert official.standing_now(model=hello.model) == 1
    other = host("second")
    other.second()
    assert other.agent.describe()["instances"] == []  # one is wanted, and the first has it
    made = run(first.agent, hello)
    assert made.status == "succeeded"
    assert first.agent.describe()["instances"][0]["pid"] == instance["pid"]
    first.agent.stop()  # the worker ends
    first.voice.leave()
    other.settle(hello.pk)
    other.now += 10_000
    other.second()
    assert other.agent.sweep() == 0  # however long nobody asks
    official.unmark(model=hello.model)
    other.second()
    assert other.agent.sweep() == 1
    assert other.agent.describe()["instances"] == []


def test_it_takes_no_place_that_somebody_has_just_used(host: Callable[..., Host], hello: Version) -> None:
    only = host("only", seats=1)
    kept = hosted(slug="kept", version_id="e" * 64)
    Version.objects.filter(pk=kept.pk).update(build_path=hello.build_path)
    run(only.agent, hello)
    official.mark(model=kept.model, warm_instances=1)
    only.now += warm_pool.UNUSED_SECONDS - 1
    only.second()
    assert only.warm() == [hello.pk]
    only.now += 1
    only.settle(kept.pk)


def test_another_host_takes_what_the_best_one_does_not(
    host: Callable[..., Host], hello: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    official.mark(model=hello.model, warm_instances=1)
    better = host("better", seats=5)
    better.voice.say()
    worse = host("worse", seats=1)
    worse.second()
    assert not hosts.is_best(name="worse", version=hello, hardware="cpu")
    assert worse.agent.describe()["instances"] == []
    monkeypatch.setattr(warm_pool, "YIELD_SECONDS", 0.0)
    worse.settle(hello.pk)


def test_a_model_that_cannot_be_started_is_not_tried_again_every_second(host: Callable[..., Host]) -> None:
    version = hosted()
    (Path(settings.VAR) / "builds" / "hollow").mkdir(parents=True, exist_ok=True)
    Version.objects.filter(pk=version.pk).update(build_path="hollow")
    official.mark(model=version.model, warm_instances=1)
    only = host("only")
    only.second()
    wait_until(lambda: only.agent.describe()["instances"] == [], within=10, what="the start to fail")
    only.second()
    assert only.agent.describe()["instances"] == []


def test_only_a_public_model_that_runs_here_is_official() -> None:
    private = hosted(slug="mine", visibility="private").model
    routed = Model.objects.create(publisher=private.publisher, slug="routed", name="Routed")
    for model in (private, routed):
        with pytest.raises(Unprocessable, match="made official"):
            official.mark(model=model, warm_instances=1)
    with pytest.raises(CommandError, match="private"):
        call_command("official", private.full_slug)
    with pytest.raises(CommandError, match="no model"):
        call_command("official", "no/body")
    assert not Model.objects.filter(is_official=True).exists()


def test_staff_mark_by_the_command_or_on_their_page_and_everybody_sees_it() -> None:
    model = hosted().model
    told = StringIO()
    call_command("official", model.full_slug, stdout=told)
    assert "is official, 1 kept warm" in told.getvalue()
    visitor = Client()
    for page in ("/models", f"/{model.full_slug}"):
        assert ">official<" in visitor.get(page).content.decode()
    assert visitor.get(f"/v1/models/{model.full_slug}").status_code == 401
    user = make.user("staff@example.com")
    user.is_staff = user.is_superuser = True
    user.save()
    staff = Client()
    staff.force_login(user)
    page = f"/staff/marketplace/model/{model.pk}/change/"
    assert staff.post(page, {"is_official": "on", "warm_instances": "3"}).status_code == 302
    model.refresh_from_db()
    assert (model.is_official, model.warm_instances) == (True, 3)
    refused = staff.post(page, {"is_official": "on", "warm_instances": "21"})
    assert (refused.status_code, b"from 0 to 20" in refused.content) == (200, True)
    assert staff.post(page, {"warm_instances": "3"}).status_code == 302
    model.refresh_from_db()
    assert (model.is_official, model.warm_instances) == (False, 0)
    assert model.full_slug in staff.get("/staff/marketplace/model/").content.decode()
    call_command("official", model.full_slug, "--unmark", stdout=told)
    assert ">official<" not in visitor.get(f"/{model.full_slug}").content.decode()
