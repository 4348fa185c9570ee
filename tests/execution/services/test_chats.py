"""Versions that serve chats, as endpoints of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execution.schema import of_chat
from execution.services import builds, chats, hardware, host, predictions
from execution.services.porter import Porter
from marketplace.lib.errors import Unprocessable
from marketplace.models import Account, Endpoint, Model, Provider, Version
from marketplace.services import catalog_export, prices, repricing
from tests.factories.execution import BASE, deployed, hosted, payer

pytestmark = pytest.mark.django_db

OFFER = {"context_length": 4096, "max_output": 1024, "prompt_nano": 100_000_000, "completion_nano": 400_000_000}
TOKENS = {"prompt": 100_000_000, "completion": 400_000_000}
TABLE = 'tables: {own: [{sku: cpu, name: CPU, per_second: "0.00025"}]}'


@pytest.fixture
def owner(settings: Any) -> Account:
    settings.CHAT_PORT = 20_009
    return payer()


def version(owner: Account, number: int = 1, **offer: int) -> Version:
    made = hosted(owner=owner, slug="talk", version_id=f"{number:064x}", schema=of_chat(OFFER | offer))
    chats.offer(version=made)
    return made


def test_a_version_is_offered_at_its_price_by_its_publishers_own_provider(owner: Account) -> None:
    made = version(owner)
    endpoint = Endpoint.objects.get()
    assert (endpoint.upstream, endpoint.is_active, endpoint.hidden) == (made.pk, True, "")
    assert (endpoint.context_length, endpoint.max_output) == (4096, 1024)
    assert prices.snapshot(endpoint_id=endpoint.pk) == TOKENS
    provider = endpoint.provider
    assert (provider.account, provider.base_url) == (owner, "http://127.0.0.1:20009/v1")
    assert provider.credentials() == {"api_key": chats.token()}


def test_the_newest_version_takes_the_place_of_the_one_before(owner: Account) -> None:
    version(owner)
    newer = version(owner, 2, prompt_nano=5)
    [active] = Endpoint.objects.filter(is_active=True)
    assert (active.upstream, prices.snapshot(endpoint_id=active.pk)["prompt"]) == (newer.pk, 5)
    version_again = Version.objects.get(pk=f"{1:064x}")
    chats.offer(version=version_again)  # the same upload as the first: back to it
    assert Endpoint.objects.get(is_active=True).upstream == version_again.pk
    chats.withdraw(version_id=version_again.pk)
    assert not Endpoint.objects.filter(is_active=True).exists()


def test_by_the_second_it_costs_what_the_hardware_does_and_the_publisher_gets_the_royalty(owner: Account) -> None:
    made = version(owner, by_second=1, prompt_nano=0, completion_nano=0)
    endpoint = Endpoint.objects.get()
    assert prices.snapshot(endpoint_id=endpoint.pk) == {"hardware_ms": 100_000_000}  # $0.0001 a second
    assert prices.snapshot(endpoint_id=endpoint.pk, kind="cost") == {"hardware_ms": 10_000_000}
    hardware.apply(hardware.read(TABLE, table="own"))
    assert prices.snapshot(endpoint_id=endpoint.pk) == {"hardware_ms": 250_000_000}
    assert prices.snapshot(endpoint_id=endpoint.pk, kind="cost") == {"hardware_ms": 25_000_000}
    repricing.from_cost()
    assert prices.snapshot(endpoint_id=endpoint.pk) == {"hardware_ms": 250_000_000}
    version(owner, 2)
    assert prices.snapshot(endpoint_id=Endpoint.objects.get(is_active=True).pk) == TOKENS
    Model.objects.filter(pk=made.model_id).update(hardware=None)
    with pytest.raises(Unprocessable, match="no price per second"):
        chats.offer(version=Version.objects.get(pk=made.pk))


def test_it_runs_no_predictions_and_no_deployments(owner: Account) -> None:
    made = version(owner)
    with pytest.raises(Unprocessable, match="/api/v1/chat/completions"):
        predictions.create(account_id=owner.pk, key_id=None, version=made, given={}, base=BASE)
    with pytest.raises(Unprocessable, match="/api/v1/chat/completions"):
        deployed(owner, made)


def test_the_provider_follows_its_door_to_another_port(owner: Account, settings: Any) -> None:
    version(owner)
    settings.CHAT_PORT = 20_019
    chats.readdress()
    provider = Provider.objects.get()
    assert provider.base_url == "http://127.0.0.1:20019/v1"
    assert provider.credentials() == {"api_key": chats.token()}  # sealed anew for the new address


def test_hosts_that_share_their_builds_offer_each_others_chats(owner: Account, settings: Any) -> None:
    made = version(owner)
    settings.CHAT_HOST = "10.0.0.7"
    assert chats.offered_elsewhere() == [made]
    assert chats.offer_here(version=made)
    assert chats.offered_elsewhere() == []
    chats.readdress()  # each has its own provider, which nobody moves
    near, far = Endpoint.objects.filter(is_active=True).order_by("pk")
    assert (near.provider.base_url, far.provider.base_url) == (
        "http://127.0.0.1:20009/v1",
        "http://10.0.0.7:20009/v1",
    )
    assert "10.0.0.7" not in far.provider.slug + far.provider.name  # where our hosts are is nobody's business
    assert far.provider.credentials() == {"api_key": chats.token()}
    newer = version(owner, 2)
    assert Endpoint.objects.get(is_active=True).upstream == newer.pk  # in place of the earlier one, wherever it was
    settings.CHAT_HOST = "127.0.0.1"
    assert [chats.offer_here(version=one) for one in chats.offered_elsewhere()] == [True]
    assert {one.upstream for one in Endpoint.objects.filter(is_active=True)} == {newer.pk}
    chats.withdraw(version_id=newer.pk)
    assert not Endpoint.objects.filter(is_active=True).exists()


def test_a_worker_offers_what_it_finds_on_the_disk_that_hosts_share(
    owner: Account, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version(owner)
    settings.CHAT_HOST = "10.0.0.7"
    monkeypatch.setattr(host, "serves_chats", lambda: True)
    porter = Porter()
    porter.tick()
    assert Endpoint.objects.count() == 1  # the build is not there, nor what it could be made of
    monkeypatch.setattr(builds, "folder", lambda path: tmp_path)
    porter.tick()
    assert Endpoint.objects.count() == 1  # it is not tried again at once
    Porter().tick()
    assert Endpoint.objects.filter(is_active=True).count() == 2


def test_without_a_door_there_is_nothing_to_offer(owner: Account, settings: Any) -> None:
    settings.CHAT_PORT = 0
    with pytest.raises(Unprocessable, match="TURNPIKE_CHAT_PORT"):
        version(owner)


def test_what_runs_here_is_not_in_the_catalogues_export(owner: Account) -> None:
    version(owner)
    assert "hosted@" not in catalog_export.export()
