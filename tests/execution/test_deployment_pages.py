"""The pages of deployments, as a browser without JavaScript sees them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from execution.models import Deployment
from execution.services import instances
from marketplace.models import Account, Version
from tests.factories.execution import deployed, hosted, payer
from tests.factories.marketplace import user

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return payer()


@pytest.fixture
def version(account: Account) -> Version:
    return hosted(owner=account, slug="mine")


@pytest.fixture
def browser(account: Account) -> Client:
    client = Client()
    client.force_login(user("payer@example.com"))
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def test_one_is_made_of_the_newest_version_and_shows_what_it_costs(browser: Client, version: Version) -> None:
    assert "No deployment yet" in text(browser.get(reverse("deployments")))
    given = {"name": "kept", "model": "payer/mine", "hardware": "cpu", "min_instances": "1", "max_instances": "3"}
    made = browser.post(reverse("deployment_create"), given)
    assert made.headers["Location"] == reverse("deployment", args=["kept"])
    page = text(browser.get(made.headers["Location"]))
    assert "One instance costs $0.36 an hour: at least $0.36, at most $1.08" in page
    assert Deployment.objects.get().release.version_id == version.pk
    assert "payer/mine" in text(browser.get(reverse("deployments")))


def test_what_cannot_be_made_comes_back_with_the_reason(browser: Client, version: Version) -> None:
    given = {"name": "kept", "model": "payer/mine", "hardware": "cpu", "min_instances": "2", "max_instances": "1"}
    answer = browser.post(reverse("deployment_create"), given)
    assert answer.status_code == 422
    assert "at most `max_instances`" in text(answer)
    answer = browser.post(reverse("deployment_create"), given | {"model": "payer/other"})
    assert "There is no model payer/other" in text(answer)


def test_a_change_is_listed_as_a_release_and_an_end_says_why(
    browser: Client, account: Account, version: Version
) -> None:
    row = deployed(account, version, least=1)
    kept = instances.claim(release=row.release, worker="w")
    assert kept is not None
    instances.drain(deployment_id=row.pk, reason="Not enough credit")
    given = {"version": version.pk, "hardware": "cpu", "min_instances": "0", "max_instances": "4"}
    assert browser.post(reverse("deployment", args=["kept"]), given).status_code == 302
    page = text(browser.get(reverse("deployment", args=["kept"])))
    assert "release 2" in page
    assert "The wallet no longer pays for its instances: Not enough credit" in page
    assert kept.pk[:12] in page


def test_one_that_is_kept_warm_is_not_deleted(browser: Client, account: Account, version: Version) -> None:
    deployed(account, version, least=1)
    browser.raise_request_exception = False
    assert browser.post(reverse("deployment_delete", args=["kept"])).status_code == 409
    browser.post(reverse("deployment", args=["kept"]), {"hardware": "cpu", "min_instances": "0", "max_instances": "1"})
    assert browser.post(reverse("deployment_delete", args=["kept"])).status_code == 302
    assert not Deployment.objects.exists()
