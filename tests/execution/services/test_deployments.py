"""Deployments without a host: places, minutes and their money, draining, coming back."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.utils import timezone

from billing import invariants
from billing.models import Charge, Hold
from billing.services import ledger
from execution import limits
from execution.agent.agent import Agent
from execution.agent.leases import Kept
from execution.models import Deployment, Prediction, WarmInstance
from execution.services import deployments, instances, releases, scale, upkeep
from execution.services.hosts import Worker
from execution.services.keeper import Keeper
from marketplace.lib.errors import Conflict, PaymentRequired, Unprocessable
from marketplace.models import Account, Version
from tests.factories.billing import fund
from tests.factories.execution import deployed, hosted, payer, predict

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = 100_000  # nano-USD of the test's hardware
MINUTE = 60 * SECOND


@pytest.fixture
def owner() -> Account:
    return payer()


@pytest.fixture
def version(owner: Account) -> Version:
    return hosted(owner=owner, slug="mine")


@pytest.fixture(autouse=True)
def _books_balance() -> object:
    yield
    assert invariants.run() == []


def after(row: WarmInstance, seconds: float) -> dt.datetime:
    return row.created_at + dt.timedelta(seconds=seconds)


def kept(row: Deployment) -> WarmInstance:
    made = instances.claim(release=row.release, worker="w")
    assert made is not None
    return made


def charged() -> list[tuple[str, int]]:
    return list(Charge.objects.filter(kind="instance").order_by("reference").values_list("reference", "amount_nano"))


def test_each_minute_of_an_instance_is_charged_once_and_the_last_by_length(owner: Account, version: Version) -> None:
    row = kept(deployed(owner, version, least=1))
    for seconds in (30, 61, 61, 125):
        assert instances.beat(instance_id=row.pk, now=after(row, seconds))
    assert instances.end(instance_id=row.pk, reason="done", now=after(row, 130))
    assert not instances.end(instance_id=row.pk, reason="again", now=after(row, 140))
    assert charged() == [(f"{row.pk}:0", MINUTE), (f"{row.pk}:1", MINUTE), (f"{row.pk}:2", 10 * SECOND)]
    assert not Hold.objects.filter(state="open").exists()


def test_a_worker_that_was_away_for_minutes_pays_each_of_them_once(owner: Account, version: Version) -> None:
    row = kept(deployed(owner, version, least=1))
    assert instances.beat(instance_id=row.pk, now=after(row, 200))
    assert [amount for _, amount in charged()] == [MINUTE] * 3


def test_a_lost_workers_instance_is_paid_up_to_its_last_beat(owner: Account, version: Version) -> None:
    row = kept(deployed(owner, version, least=1))
    instances.beat(instance_id=row.pk, now=after(row, 20))
    assert instances.reap(now=after(row, 30)) == 0
    assert instances.reap(now=after(row, 50)) == 1
    assert charged() == [(f"{row.pk}:0", 20 * SECOND)]
    assert not instances.beat(instance_id=row.pk, now=after(row, 51))


def test_no_more_places_than_wanted_are_taken(owner: Account, version: Version) -> None:
    row = deployed(owner, version, least=2, most=3)
    assert [kept(row).place, kept(row).place] == [0, 1]
    assert instances.claim(release=row.release, worker="other") is None


def test_an_empty_wallet_drains_with_a_reason_and_credit_brings_it_back(version: Version) -> None:
    poor = payer("0.015", email="poor@example.com", slug="poor")  # two and a half minutes
    row = deployed(poor, version, least=1)
    instance = kept(row)
    waiting = predict(poor, version, deployment=row)
    assert instances.beat(instance_id=instance.pk, now=after(instance, 65))
    assert not instances.beat(instance_id=instance.pk, now=after(instance, 121))
    instance.refresh_from_db()
    waiting.refresh_from_db()
    assert "wallet" in instance.ended_because
    assert (waiting.status, "wallet" in (waiting.error or "")) == ("canceled", True)
    with pytest.raises(PaymentRequired, match="no longer pays"):
        deployments.to_use(account_id=poor.pk, owner="poor", name="kept")
    scale.all_deployments(now=timezone.now())
    assert Deployment.objects.get(pk=row.pk).wanted == 0
    fund(poor, "1.00")
    scale.all_deployments(now=timezone.now())
    assert (Deployment.objects.get(pk=row.pk).wanted, Deployment.objects.get(pk=row.pk).drained_because) == (1, "")


def test_one_that_is_let_go_while_it_starts_is_paid_for_what_it_stood(
    hello: Version, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = deployed(payer(), hello, least=1)
    keeper = Keeper(agent=agent, worker=Worker(name="w", hardware="cpu", queue="at-w"))
    let_go = Kept.let_go

    def let_go_and_hear_of_it_first(slot: Kept) -> None:
        let_go(slot)
        for thread in threading.enumerate():
            if thread.name == "instance-start":
                thread.join(30)

    monkeypatch.setattr(Kept, "let_go", let_go_and_hear_of_it_first)
    keeper.tick()
    Deployment.objects.filter(pk=row.pk).update(wanted=0)
    keeper.tick()
    ended = WarmInstance.objects.get()
    assert (ended.ended_because, ended.ready_at) == ("It was no longer needed.", None)
    assert [reference for reference, amount in charged() if amount > 0] == [f"{ended.pk}:0"]


def test_a_run_on_a_deployment_costs_nothing_beside_its_minutes(owner: Account, version: Version) -> None:
    before = ledger.wallet_of(owner.pk).free_nano
    made = predict(owner, version, deployment=deployed(owner, version))
    assert made.prices == {"hardware_ms": 0}
    assert ledger.wallet_of(owner.pk).free_nano == before


def test_waiting_work_asks_for_instances_and_nobody_rings_for_it(owner: Account, version: Version) -> None:
    row = deployed(owner, version)
    predict(owner, version, deployment=row)
    soon = timezone.now() + dt.timedelta(seconds=10)
    scale.all_deployments(now=soon)
    assert Deployment.objects.get(pk=row.pk).wanted == 1
    assert upkeep.ring(now=soon) == 0


def test_a_change_of_sizes_keeps_the_instances_that_are_there(owner: Account, version: Version) -> None:
    row = deployed(owner, version, least=1)
    instance = kept(row)
    instances.is_ready(instance_id=instance.pk)
    deployments.change(account_id=owner.pk, owner="payer", name="kept", given={"max_instances": 5})
    instance.refresh_from_db()
    assert instance.release == row.release
    assert not releases.is_surplus(row=instance, deployment=Deployment.objects.get(pk=row.pk))


def test_the_old_release_works_until_the_new_one_has_started(owner: Account, version: Version) -> None:
    row = deployed(owner, version, least=1)
    old = kept(row)
    instances.is_ready(instance_id=old.pk)
    newer = hosted(owner=owner, slug="mine", version_id="b" * 64)
    deployments.change(account_id=owner.pk, owner="payer", name="kept", given={"version": newer.pk})
    row = Deployment.objects.get(pk=row.pk)
    _, served = deployments.to_use(account_id=owner.pk, owner="payer", name="kept")
    waiting = predict(owner, served, deployment=row)
    assert (served, waiting.version) == (version, version)
    new = kept(row)  # beside the old one, though one is wanted
    assert (new.place, new.release.version_id) == (1, newer.pk)
    assert instances.claim(release=row.release, worker="other") is None
    assert not releases.is_surplus(row=old, deployment=row)
    assert instances.is_ready(instance_id=new.pk)
    waiting.refresh_from_db()
    assert waiting.version_id == newer.pk
    assert deployments.to_use(account_id=owner.pk, owner="payer", name="kept")[1] == newer
    assert releases.is_surplus(row=old, deployment=row)
    assert not releases.is_surplus(row=new, deployment=row)


def test_without_room_for_both_the_old_one_goes_after_a_while_unless_the_new_one_is_broken(
    owner: Account, version: Version
) -> None:
    row = deployed(owner, version, least=1)
    old = kept(row)
    instances.is_ready(instance_id=old.pk)
    newer = hosted(owner=owner, slug="mine", version_id="b" * 64)
    deployments.change(account_id=owner.pk, owner="payer", name="kept", given={"version": newer.pk})
    row = Deployment.objects.get(pk=row.pk)
    later = timezone.now() + limits.ROLL_TIME * 2
    assert not releases.is_surplus(row=old, deployment=row)
    assert releases.is_surplus(row=old, deployment=row, now=later)
    broken = kept(row)
    assert not releases.is_surplus(row=old, deployment=row, now=later)  # it has found its room
    instances.end(instance_id=broken.pk, reason=releases.SETUP + "no weights", free=True)
    assert not releases.is_surplus(row=old, deployment=row, now=later)


def test_an_instance_for_several_runs_at_one_time_meets_the_demand_of_several(owner: Account, version: Version) -> None:
    Version.objects.filter(pk=version.pk).update(concurrency=4)
    row = deployed(owner, version, most=5)
    for _ in range(4):
        predict(owner, version, deployment=row)
    for seconds in (1, 5, 9):
        scale.all_deployments(now=timezone.now() + dt.timedelta(seconds=seconds))
    assert Deployment.objects.get(pk=row.pk).wanted == 1


def test_a_change_is_a_new_release_and_takes_what_waits_along(owner: Account, version: Version) -> None:
    row = deployed(owner, version)
    waiting = predict(owner, version, deployment=row)
    newer = hosted(owner=owner, slug="mine", version_id="b" * 64)
    deployments.change(account_id=owner.pk, owner="payer", name="kept", given={"version": newer.pk})
    assert (row.release.number, row.release.version_id, row.release.max_instances) == (2, newer.pk, 2)
    assert Prediction.objects.get(pk=waiting.pk).version_id == newer.pk


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_instances": 6}, "from 0 to 5"),
        ({"max_instances": 21}, "from 0 to 20"),
        ({"min_instances": 3, "max_instances": 2}, "at most `max_instances`"),
        ({"max_instances": "2"}, "whole number"),
        ({"hardware": "abacus"}, "one of cpu"),
        ({"version": "c" * 64}, "no version"),
    ],
)
def test_a_bad_change_says_what_to_write(owner: Account, version: Version, given: dict[str, object], said: str) -> None:
    deployed(owner, version)
    with pytest.raises(Unprocessable, match=said):
        deployments.change(account_id=owner.pk, owner="payer", name="kept", given=given)


def test_only_what_has_been_unused_for_a_while_is_deleted(owner: Account, version: Version) -> None:
    row = deployed(owner, version)
    deployments.to_use(account_id=owner.pk, owner="payer", name="kept")
    with pytest.raises(Conflict, match="15 minutes"):
        deployments.delete(account_id=owner.pk, owner="payer", name="kept")
    later = timezone.now() + dt.timedelta(minutes=16)
    deployments.delete(account_id=owner.pk, owner="payer", name="kept", now=later)
    assert not Deployment.objects.filter(pk=row.pk).exists()
